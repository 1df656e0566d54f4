"""Cores: a causal language model from options or a checkpoint, its layers and its blueprint."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Blueprint, NexusError, Stack, locate
from nexus_torch.files import file_hash
from nexus_torch.hugging_face.configuration.reading import DROPPED, read_config
from nexus_torch.hugging_face.folder import folder as folder_of
from nexus_torch.hugging_face.folder import parsed
from nexus_torch.hugging_face.inputs.named import check_classes
from nexus_torch.stacks import stacks
from nexus_torch.text import tokenizer_hash
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, Lfm2Config, Lfm2ForCausalLM
from transformers.utils import logging as transformers_logging

from .options import StudentOptions

CORE = "core"
"""The core's folder inside an artefact and a release, and its place in the model."""
GAIN = 0.7
"""Of orthogonal matrices at the start."""
ROPE = 10_000.0
"""Base of the rotary positions."""
EVERY = 4
"""One layer of attention in so many."""
DAMAGE = (OSError, KeyError, SafetensorError, ValueError, TypeError, RuntimeError)
"""What libraries raise over files that are damaged; the latter three over much else, too."""
SAFE = {"trust_remote_code": False, "use_safetensors": True}
"""A core is data: no program that comes with it is run, nothing pickled is read."""


def new_core(options: StudentOptions, words: int, tokenizer: Any | None) -> nn.Module:
    """An untrained LFM2-type decoder with a tied head of `words` words: gated short convolutions, and attention in
    every fourth layer and the last.

    A convolution gives each token its neighbours, which attention has to learn first before it can copy from the
    context: at equal time such a core is 0.1 bits per byte ahead of a Llama-type one (1000 steps x 4 windows).
    """
    heads = options.heads or max(1, options.width // 32)
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "pad")}
    config = Lfm2Config(
        vocab_size=words,
        hidden_size=options.width,
        intermediate_size=options.intermediate or 3 * options.width,
        block_auto_adjust_ff_dim=False,
        num_hidden_layers=options.layers,
        layer_types=layer_types(options.layers),
        num_attention_heads=heads,
        num_key_value_heads=options.kv_heads or heads,
        max_position_embeddings=options.context,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE},
        tie_word_embeddings=True,
        **special,
    )
    core = Lfm2ForCausalLM(config)
    spread(core)
    return core


def layer_types(layers: int) -> list[str]:
    """Attention in every fourth layer and the last, convolutions elsewhere.

    >>> layer_types(6)
    ['conv', 'conv', 'conv', 'full_attention', 'conv', 'full_attention']
    """
    last = layers - 1
    return ["full_attention" if at % EVERY == EVERY - 1 or at == last else "conv" for at in range(layers)]


@torch.no_grad()
def spread(core: nn.Module) -> None:
    """Starts a new core where short training gets furthest: what layers add to the residual stream begins at zero, the
    other matrices are orthogonal, as Muon's updates are (400 steps: 0.02 bits per byte better than transformers'), and
    convolutions pass each token on as it is."""
    for name, module in core.model.layers.named_modules():
        if isinstance(module, nn.Linear):
            if name.endswith(("out_proj", "w2")):
                module.weight.zero_()
            else:
                nn.init.orthogonal_(module.weight, gain=GAIN)
        elif isinstance(module, nn.Conv1d):
            module.weight.zero_()[..., -1] = 1.0


def core_folder(folder: Path) -> Path:
    """Where the Hugging Face files of a core artefact are: in its `core/`, or the folder itself."""
    inner = folder / CORE
    found = inner if (inner / "config.json").exists() else folder
    if not (found / "config.json").exists():
        raise NexusError(f"'{folder}' holds no core: there is no config.json in it. Run `nexus run --stage core`.")
    return found


def open_core(folder: Path, **settings: Any) -> nn.Module:
    """A core's model with its weights; `settings` are those of `from_pretrained` (float32 unless told otherwise)."""
    errors = DAMAGE if set(settings) <= {"dtype"} else DAMAGE[:3]  # what is asked of attention may be refused as well
    settings = {"dtype": torch.float32} | settings
    where = core_folder(folder)
    with quiet(), _whole(where, errors):
        check_programs(where)
        return AutoModelForCausalLM.from_pretrained(where, **SAFE, **settings)


def check_programs(folder: Path) -> None:
    """NexusError for a folder whose files name a program: a model for its tokenizer, a kernel of the hub for its
    attention. transformers would fetch and run them."""
    check_classes(folder)
    place = folder / "config.json"
    for name, value in _entries(parsed(place)) if place.exists() else ():
        if DROPPED.fullmatch(name) and isinstance(value, str) and "/" in value:
            raise NexusError(f"'{place}' names the program {value!r} as its {name}. Take that line out of it.")


def _entries(values: Any) -> Iterator[tuple[str, Any]]:
    """Names and values, however deep."""
    if isinstance(values, dict):
        yield from values.items()
    for each in values.values() if isinstance(values, dict) else values if isinstance(values, list) else ():
        yield from _entries(each)


@contextmanager
def _whole(folder: Path, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """What libraries say of damaged files, as an error for people."""
    try:
        yield
    except (*errors, NexusError) as error:
        said = str(error).split("\n", 1)[0]
        raise NexusError(f"'{folder}' is damaged or not whole ({said}). Take it from its release again.") from error


def core_hash(folder: Path) -> str:
    """What a core's weights are, whatever folder they lie in."""
    digest = hashlib.sha256()
    for path in sorted(core_folder(folder).glob("*.safetensors")):
        digest.update(file_hash(path).encode())
    return digest.hexdigest()


def fetch_core(source: str) -> tuple[nn.Module, Any]:
    """A checkpoint to start from, with its tokenizer: a folder, "package:…" or "hub:owner/name"."""
    name = source.removeprefix("hub:") if source.startswith("hub:") else str(locate(source))
    try:
        check_programs(folder_of(source))
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, **SAFE)
        return model, AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, NexusError) as error:
        raise NexusError(
            f"student.core: '{source}' does not open as a causal language model with a tokenizer ({error}). "
            "Name a folder or a hub id of one, or `auto`."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars: a core is small."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def read_tokenizer(folder: Path) -> Any | None:
    """The tokenizer of a folder, or None where there is none."""
    if not (folder / "tokenizer_config.json").exists() and not (folder / "tokenizer.json").exists():
        return None
    with _whole(folder, DAMAGE):
        check_programs(folder)
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def read_context(folder: Path) -> int:
    """The longest text in tokens that the core of a folder reads; 0 where it says nothing."""
    config = read_config(folder).get_text_config()
    return int(getattr(config, "max_position_embeddings", 0) or 0)


def layers_of(core: nn.Module) -> tuple[str, ...]:
    """Paths of the decoder layers: the run of layers with the most parameters."""
    found = stacks(core)
    if not found:
        raise NexusError(f"No stack of decoder layers was found in {type(core).__name__}. Name another core.")
    return max(found.values(), key=lambda paths: sum(parameters(core.get_submodule(path)) for path in paths))


def core_blueprint(core: Any, tokenizer: Any | None) -> Blueprint:
    """What a core is; paths are relative to it."""
    config, size = core.config.get_text_config(), parameters(core)
    return Blueprint(
        family=config.model_type,
        head=type(core).__name__,
        takes=("text",),
        gives=("text",),
        stacks=(stack_of(core, layers_of(core), config.hidden_size),),
        parameters=size,
        active_parameters=size,
        bytes=sum(each.numel() * each.element_size() for each in core.parameters()),
        dtype=str(core.dtype).removeprefix("torch."),
        vocabulary=config.vocab_size,
        tokenizer="" if tokenizer is None else tokenizer_hash(tokenizer),
        context=getattr(config, "max_position_embeddings", 0) or 0,
    )


def stack_of(module: nn.Module, paths: Sequence[str], width: int, prefix: str = "") -> Stack:
    """The record of a run of layers."""
    layers = [module.get_submodule(path) for path in paths]
    return Stack(
        path=prefix + paths[0].rpartition(".")[0],
        count=len(paths),
        widths=(width,) * len(paths),
        layer_bytes=tuple(sum(each.numel() * each.element_size() for each in layer.parameters()) for layer in layers),
        layer_parameters=tuple(parameters(layer) for layer in layers),
    )


def parameters(module: nn.Module) -> int:
    """How many, tied ones once."""
    return sum(each.numel() for each in module.parameters())


def start_of(core: Any) -> int:
    """The id that a perceiving tower's core runs on."""
    config = core.config.get_text_config()
    return next((each for each in (config.bos_token_id, config.eos_token_id) if isinstance(each, int)), 0)


def _useful(record: logging.LogRecord) -> bool:
    """Whether transformers' advice can be followed: its faster convolutions are for CUDA alone."""
    return torch.cuda.is_available() or "falling back to its reference" not in record.getMessage()


logging.getLogger("transformers.integrations.hub_kernels").addFilter(_useful)
