"""A Hugging Face checkpoint: names and meaning of its weights. The engine reads them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, Extent, NexusError, Part, Sample, Signal
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from nexus_torch.text import tokenizer_hash

from .answering import answer
from .blueprint import blueprint, context_of, divide
from .classes import gives, is_paired, runnable, skeleton, takes
from .collate import Preprocessor
from .constants import compute_constants
from .conversion import Conversion
from .decoding import channels_of, decodes, start_of, transduces
from .filming import FilmPreprocessor
from .films import arguments_of, follows, lead, side_of
from .fitting import check_shapes, layers_without
from .folder import copy_preprocessor, extents, parsed
from .packed import Packing, refuse_transposed, settings

GENERATION = "generation_config.json"
"""The file that may name a decoder's start token."""


class HuggingFaceCheckpoint:
    """Kind "checkpoint" of a folder that transformers reads."""

    prepares: type[Preprocessor] = Preprocessor
    """What makes tensors of samples; a family with inputs of its own says here another."""
    films = False
    """Whether it follows objects through a film."""

    def __init__(self, home: Path, config: PreTrainedConfig, *, weightless: bool = False) -> None:
        """`weightless`: of the configuration alone, to be described and not run."""
        config = runnable(config)
        self.home, self.config = home, config
        stored_as = config.dtype                            # building the module writes its own there
        module = self.bare()
        found = {} if weightless else {extent.key: extent for extent in self.stored()}
        self.conversion = self.rules(module)
        refuse_transposed(module, str(settings(config).get("quant_method", "")), home.name)
        self.packing = Packing.of(settings(config), found, stored_as)
        self.targets = self.conversion.targets(list(self.packing.groups))
        if not weightless and not self.targets:
            raise NexusError(
                f"None of the {len(found)} tensors in '{home.name}' belongs to {type(module).__name__}, which its "
                "config.json names. Fetch config.json and weights from one place."
            )
        if type(self.conversion) is Conversion and not settings(config):
            check_shapes(module, found, self.targets, home.name)
        stored = {key: self.targets[name] for name in self.targets for key in self.packing.groups[name]}
        self.parts: tuple[Part, ...] = divide(module, found, stored)
        kind = type(module)
        self.films = follows(kind)
        arguments = arguments_of(kind) if self.films else frozenset(inspect.signature(kind.forward).parameters)
        generation = parsed(home / GENERATION) if (home / GENERATION).is_file() else {}
        self.preprocessor = (FilmPreprocessor if self.films else self.prepares)(
            home,
            takes(kind),
            generative=gives(kind) == ("text",),
            context=context_of(config),
            channels=int(getattr(config, "num_channels", 3) or 3),
            arguments=arguments,
            decoder_start=start_of(config, generation) if decodes(config, kind.__name__, arguments) else None,
            transduces=transduces(kind.__name__),
            channels_out=channels_of(config),
            paired=is_paired(kind),
        )
        if isinstance(self.preprocessor, FilmPreprocessor):
            self.preprocessor.side = side_of(config)
        tokenizer = self._tokenizer()
        gone = "weights (*.safetensors)" if weightless else layers_without(
            module, self.parts, {name for name, _ in self.targets.values()}
        )  # fmt: skip
        missing = [*([gone] if gone else []), *self._missing(tokenizer)]
        self.blueprint = blueprint(module, self.parts, tokenizer, stored_as, missing)

    def bare(self) -> PreTrainedModel:
        """The module on the meta device as its class makes it; a family that composes one says here of what."""
        return skeleton(self.config)

    def stored(self) -> list[Extent]:
        """Every stored tensor."""
        return extents(self.home)

    def rules(self, module: PreTrainedModel) -> Conversion:
        """From stored names to the module's; a family with a layout of its own says here how."""
        return Conversion(module)

    def skeleton(self) -> nn.Module:
        """The module on the meta device. Its output carries the state before the head as `final`."""
        module = self.bare()
        compute_constants(module, {name for name, _ in self.targets.values()})
        if (head := module.get_output_embeddings()) is not None:
            _remember_state(module, head)
        if self.films:
            lead(module)
        return module

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Stored tensors by key -> the module's by full name."""
        return self.conversion.assemble(self.packing.unpack(raw), self.targets)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Through its tokenizer or processor."""
        batch = self.preprocessor(samples)
        if (decoded := batch.side.get("decoder_mask")) is not None:     # its states are as long as the target
            stacks = [stack.path for stack in self.blueprint.stacks if "decoder" in stack.path.split(".")]
            batch.side["masks"] = dict.fromkeys(stacks, decoded)
        return batch

    def lengths(self, samples: Sequence[Sample]) -> Sequence[int] | None:
        """Tokens of each sample, for those who put like lengths together; None where length is not what varies."""
        return self.preprocessor.lengths(samples)

    def groups(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]]:
        """Samples that may be one batch: any; films in which something is followed go alone."""
        return [[at] for at in range(len(samples))] if self.films else [range(len(samples))]

    def read(self, output: Any, batch: Batch) -> Signal:
        """The forward's output in standard terms: logits of a vocabulary as outputs["logits"] with `hidden` before
        them; scores of classes, sound and the masks of a film as outputs["output"]; else an embedding."""
        if self.blueprint.gives == ("text",):
            return _text_signal(output, batch, self.preprocessor.channels_out)
        if self.blueprint.gives == ("label",):
            return Signal(outputs={"output": getattr(output, "logits", None) if "logits" in output else _first(output)})
        if self.blueprint.gives == ("audio",):
            return Signal(outputs={"output": _sound(output)})
        if self.films:
            return Signal(outputs={"output": output.pred_masks, "embedding": output.pred_masks.flatten(3).mean(-1)})
        vector = _embedding(output, batch.get("attention_mask"), getattr(batch, "side", {}).get("stands_in", ""))
        return Signal(outputs={"output": vector, "embedding": vector})

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """Greedy: the text that follows each sample's "prompt" (or "text"), or that its sound says; the name of the
        likeliest class; a codec's sound; an embedding."""
        if self.blueprint.gives == ("text",):
            return [answer(module, self.preprocessor, sample) for sample in samples]
        signal = self.read(module(**self.collate(samples)), {})
        if self.blueprint.gives == ("label",):
            return [self.blueprint.labels[index] for index in signal.outputs["output"].argmax(-1).tolist()]
        return list(signal.outputs.get("embedding", signal.outputs["output"]))

    def save_preprocessor(self, folder: Path) -> None:
        """Copies what makes tensors of samples, never weights."""
        copy_preprocessor(self.home, folder)

    def _missing(self, tokenizer: str) -> list[str]:
        """Files that inputs need and that are not there."""
        media = {"image", "audio", "video"} & set(self.preprocessor.takes)
        files = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
        has = any((self.home / name).is_file() for name in files)
        return [*(["tokenizer.json"] if "text" in self.preprocessor.takes and not tokenizer else []),
                *(["preprocessor_config.json"] if media and not has else [])]  # fmt: skip

    def _tokenizer(self) -> str:
        """The hash of the tokenizer; "" where there is none, which the blueprint reports as missing."""
        if "text" not in self.preprocessor.takes:
            return ""
        try:
            return tokenizer_hash(self.preprocessor.tokenizer)
        except NexusError:
            return ""


def _remember_state(module: nn.Module, head: nn.Module) -> None:
    """Lets the output carry what went into the head: the same object, taken when the head runs."""
    last: list[Tensor] = []

    def into(_: nn.Module, inputs: tuple[Any, ...], __: Any) -> None:
        last[:] = inputs[:1]                                # behind the head: forwards that are led may wait before it

    def after(_: nn.Module, __: Any, output: Any) -> Any:
        if last and output is not None:
            object.__setattr__(output, "final", last.pop())
        return output

    head.register_forward_hook(into)
    module.register_forward_hook(after)


def _text_signal(output: Any, batch: Batch, channels: int) -> Signal:
    """Logits with what belongs to them; those of `channels` codebooks side by side: [B, channels, T, V]."""
    side = getattr(batch, "side", {})
    decoded = "decoder_input_ids" in batch
    mask = side.get("decoder_mask") if decoded else batch.get("attention_mask")
    tokens = batch.get("decoder_input_ids" if decoded else "input_ids")
    scores = output.logits if getattr(output, "logits", None) is not None else _first(output)
    if tokens is None or scores.shape[:2] != tokens.shape[:2]:          # frames of a sound: no token to each
        tokens = mask = None
    if decoded and channels > 1:
        scores, tokens, mask = scores.unflatten(0, (-1, channels)), None, None
    return Signal(
        hidden=getattr(output, "final", None) if tokens is not None else None,
        tokens=tokens,
        mask=None if mask is None else mask.bool(),
        spans=side.get("spans") if tokens is not None else None,
        outputs={"logits": scores},
    )


def _first(output: Any) -> Tensor:
    """The first tensor of numbers in an output, however deep; not a loss. NexusError where there is none."""
    items = [output] if isinstance(output, Tensor) else list(output.values() if isinstance(output, Mapping) else output)
    for item in items:
        if isinstance(item, Tensor) and item.is_floating_point() and item.ndim:
            return item
    for item in items:
        if isinstance(item, (tuple, list, Mapping)) and len(item):
            return _first(item)
    raise NexusError("The model's output holds no numbers that could be observed. Tap a module by its path instead.")


def _sound(output: Any) -> Tensor:
    """The waves of an output, by name: before a codec's stands its loss, one number for each sample."""
    named = (getattr(output, name, None) for name in ("audio_values", "waveform"))
    found = next((each for each in named if isinstance(each, Tensor)), None)
    return _first(output) if found is None else found


def _embedding(output: Any, mask: Tensor | None, empty: str = "") -> Tensor:
    """The vector of each sample; of two encoders side by side not that of the one that had nothing (`empty`)."""
    for name in ("image_embeds", "text_embeds", "embeddings", "pooler_output"):
        if empty and name == f"{empty}_embeds":
            continue
        if (found := getattr(output, name, None)) is not None:
            return found
    states = getattr(output, "last_hidden_state", None)
    states = _first(output) if states is None else states
    if states.ndim != 3:
        return states.flatten(2).mean(-1) if states.ndim == 4 else states
    weight = torch.ones(states.shape[:2]) if mask is None or mask.shape != states.shape[:2] else mask
    weight = weight.to(states)[..., None]
    return (states * weight).sum(1) / weight.sum(1)
