"""Records of a model that is not open: what it is, of which parts, and where their bytes lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .components import neutral


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One run of repeated layers, `path.0` to `path.{count-1}`."""

    path: str
    count: int
    widths: tuple[int, ...]
    """Output width by layer; -1 where a layer has no single residual width."""
    layer_bytes: tuple[int, ...]
    layer_parameters: tuple[int, ...] = ()
    layer_active: tuple[int, ...] = ()
    """Parameters of each layer that one token meets: fewer where a router chooses among experts."""
    layer_float32: tuple[int, ...] = ()
    """Parameters of each layer that stay in float32 whatever it is run in; (): none."""
    dtype: str = ""
    """Of most of its tensors, by safetensors' name."""
    kind: str = ""
    """The class of its layers; several, with " / ", where they differ."""
    sees: bool = False
    """Whether its states are of pictures, films or sounds (`Blueprint.seen`) beside a text that others read or
    write."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The module paths of the layers."""
        return tuple(f"{self.path}.{index}" for index in range(self.count))


@dataclass(frozen=True, kw_only=True)
class Outside:
    """A large module that belongs to no layer: an embedding, a head, a convolution."""

    path: str
    parameters: int
    behind: int = 0
    """How many stacks stand before it in the model."""
    shared: bool = False
    """Whether another module has the same weight (an embedding that is the head), which counts once, here."""
    bytes: int = 0
    """As it is stored; 0: not known."""
    float32: bool = False
    """Whether it stays in float32 whatever the rest is run in."""


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What a checkpoint is, found without reading weights. JSON on disk."""

    family: str
    """Model type ("llama")."""
    head: str
    """Model class ("LlamaForCausalLM")."""
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    """Modalities: "text", "image", "audio", "video" in; "text", "label", "embedding", ... out."""
    stacks: tuple[Stack, ...]
    parameters: int
    active_parameters: int
    bytes: int
    dtype: str
    quantisation: str = ""
    vocabulary: int = 0
    tokenizer: str = ""
    """Hash of the tokenizer: equal hash, same tokens. What begins with "files:" is that of a large one's files, which
    `inspect` gives instead of building it."""
    processors: Mapping[str, str] = field(default_factory=dict)
    """What makes tensors of samples: kind ("tokenizer", "processor", "image_processor", "feature_extractor",
    "video_processor") -> class, as files name it."""
    labels: tuple[str, ...] = ()
    """Names of the classes, in the order of the output: of the one class that is answered, or of those that each token,
    point or object may be of (`classes`: of the first alone)."""
    context: int = 0
    """Longest input in tokens; 0: not limited or not text."""
    frames: int = 0
    """Values that convolutions over a sound make at most for each of its states (Wav2Vec2: 64 frames of 512); 0: none.
    """
    scanned: int = 0
    """Values that a scan over states makes at most for each position, in float32 (Mamba: 1536 channels of 16 states);
    0: none."""
    chunk: int = 0
    """Positions that such a scan takes together, shorter texts being filled up (Mamba 2: 256); 0: one by one."""
    scored: int = 0
    """Attention scores that a layer keeps for each pair of positions, where no kernel makes and drops them in pieces
    (DeBERTa, Gemma 2: heads); 0: none."""
    alive: int = 0
    """Values that a forward has at most at one time for each position of a text, beside weights and scores of words
    (Llama: 4 residual widths and 3 of its MLP); 0: not known."""
    seen: int = 0
    """Values of the largest state that a tower has of one picture or film, or of one sound that is filled up to a
    length (CLIP-L: 577 positions of 1024; Whisper-tiny: 1500 of 384); 0: not known."""
    places: int = 0
    """Positions that one picture takes in a text (LLaVA: 576); 0: none, or not known."""
    passing: int = 0
    """Values that a forward over one sound or picture has at most at one time, beside weights, where samples showed it
    and `seen` says nothing (`Checkpoint.shown`: codecs, ResNet); 0: not known."""
    held: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Bytes that a forward over one sample has at most at one time beside weights, while a layer of a stack runs (by
    its path; "": none; a layer that has less than others of its stack: by its own path too), in bfloat16 and in
    float32, as samples of pictures showed; {}: not known."""
    waits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Bytes of these at most where a layer of a stack begins, or a module beside layers, by its path: what waits while
    other samples pass through what is before it; {}: not known."""
    given: int = 0
    """Bytes of the tensors that are made of one sample, where `held` is known."""
    making: int = 0
    """Bytes that it takes to make them, likewise."""
    unmet: tuple[str, ...] = ()
    """Paths of stacks that no sample comes to, as far as it was told what samples show (`Checkpoint.shown`): the VAE of
    prompts alone."""
    outside: tuple[Outside, ...] = ()
    """What belongs to no layer and has 2 M parameters or more, in the order in which the model has it; (): nothing has,
    or it is not known."""
    float32: int = 0
    """Parameters that stay in float32 whatever it is run in (a codec beside a model that hears), those of layers
    included."""
    buffers: int = 0
    """Bytes of tensors that are no weights, such as tables of positions; they stay in memory."""
    missing: tuple[str, ...] = ()
    """What a user must still provide. What begins with "weights" are weights: without them nothing opens it."""

    @property
    def weightless(self) -> bool:
        """Whether weights are missing: it can be described and planned with, and not opened."""
        return any(each.startswith("weights") for each in self.missing)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of which a sample is one; none where each of its tokens, points or objects is."""
        return () if "scores" in self.gives else self.labels

    @property
    def largest_stack(self) -> Stack:
        """The stack with the most bytes: the one that numbers like `--taps 8,16` index."""
        return max(self.stacks, key=lambda stack: sum(stack.layer_bytes))


@dataclass(frozen=True, kw_only=True)
class Extent:
    """A range of bytes that holds one stored tensor. `file` may be a path or a hub address."""

    key: str
    file: str
    start: int
    stop: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The smallest thing that is loaded and dropped: a layer, an embedding, a head."""

    path: str
    """Module path in the skeleton."""
    extents: tuple[Extent, ...]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the machine is and what it reaches, measured once for a run; recorded, never hashed."""

    processor: str
    cores: int
    device: str
    """ "cpu" or "cuda"."""
    memory: int
    """Bytes of RAM that are free."""
    device_memory: int
    """Bytes of device memory that are free; 0 without one."""
    bfloat16: bool
    """Whether the device multiplies bfloat16 natively."""
    gigaflops: float
    """Rate of a square matrix product in the precision that training uses, one thread."""
    gigaflops_float32: float = 0.0
    """The same in float32, in which teachers are scored and profiled; 0: not measured."""
    read_rate: float = 0.0
    """Bytes per second read from the run's disk."""
    weight_rate: float = 0.0
    """Bytes per second of the weights that products of a few rows take from memory, one thread."""
    call_rate: float = 0.0
    """Operations per second on tensors of a few numbers: what calls cost, not arithmetic."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a unit may use. `scratch` survives a kill of the unit."""

    device: str = neutral("cpu")
    memory: int = neutral(0)
    disk: int = neutral(0)
    scratch: Path = neutral(Path())
    threads: int = neutral(1)
    precision: Literal["float32", "bfloat16"] = "float32"
    micro_batch: int = 8
    """Samples that pass through a teacher at once; 0: not chosen yet, which `Engine.place` does."""
    residency: Literal["auto", "resident", "offload", "stream"] = neutral("auto")
    """How a teacher is held. Neutral: what comes out is the same."""
    quantise: Literal["", "auto", "nf4", "int8"] = ""
    """How its weights are packed once they are loaded; "auto": not chosen yet, which `Engine.place` does."""
    gigaflops: float = neutral(0.0)
    """As the machine was measured, so that estimates know its rate; 0: it was not."""
    gigaflops_float32: float = neutral(0.0)
    """Likewise, in float32."""
    read_rate: float = neutral(0.0)
    """Likewise, bytes a second from the run's disk."""
    weight_rate: float = neutral(0.0)
    """Likewise, bytes a second of weights through products of a few rows."""
    call_rate: float = neutral(0.0)
    """Likewise, small operations a second."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a source lies that is not on this machine: pinned, and how much of it is still to be fetched."""

    source: str
    """The same source at one commit ("owner/name@COMMIT"): what a run keeps."""
    commit: str
    bytes: int
    """Of all that a reading of it takes."""
    missing: int
    """Bytes of these that are not on this machine yet."""
    rows: int = 0
    """Rows of data in all that a reading of it takes; 0 where nobody says."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a unit or a pass over a model would cost. Bytes, seconds; `how` says which residency and why."""

    seconds: float = 0.0
    read: int = 0
    fetched: int = 0
    memory: int = 0
    disk: int = 0
    passing: int = 0
    """Of `disk`, what is gone when the unit is done: the states that survive a kill."""
    passes: int = 0
    how: str = ""
