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
from .described import Described, hashed_files
from .embedded import check_tokens, rows_of
from .filming import FilmPreprocessor
from .films import arguments_of, follows, lead, side_of
from .fitting import buffers_without, check_shapes, layers_without, stored_twice, untie
from .folder import copy_preprocessor, extents, parsed
from .packed import Packing, refuse_transposed, settings
from .processors import processors

GENERATION = "generation_config.json"
"""The file that may name a decoder's start token."""


class HuggingFaceCheckpoint(Described):
    """Kind "checkpoint" of a folder that transformers reads."""

    prepares: type[Preprocessor] = Preprocessor
    """What makes tensors of samples; a family with inputs of its own says here another."""
    rows: Mapping[str, int] = {}
    """How many tokens have a row in an embedding, by the argument of the forward, where that can be told."""
    films = False
    """Whether it follows objects through a film."""
    untied: Sequence[Sequence[str]] = ()
    """Names of a tied weight of which the files hold several: each has its own."""

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
        names = {name for name, _ in self.targets.values()}
        self.untied = stored_twice(module, names)
        untie(module, self.untied)
        stored = {key: self.targets[name] for name in self.targets for key in self.packing.groups[name]}
        self.parts: tuple[Part, ...] = divide(module, found, stored)
        kind = type(module)
        self.rows = rows_of(module)
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
        tokenizer = self._told()
        gone = "weights (*.safetensors)" if weightless else (
            layers_without(module, self.parts, names) or buffers_without(module, names)
        )  # fmt: skip
        missing = [*([gone] if gone else []), *self._missing(tokenizer)]
        made = processors(home, config.model_type, self.preprocessor.takes)
        self.described = blueprint(module, self.parts, tokenizer, stored_as, missing, made)

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
        module = untie(self.bare(), self.untied)
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
        batch.side["count"] = len(samples)
        self._check_ids(batch, samples)
        decoded, ids = batch.side.get("decoder_mask"), batch.get("decoder_input_ids")
        if decoded is None and isinstance(ids, Tensor) and ids.ndim == 2 and len(ids) == len(samples):
            decoded = batch.get("decoder_attention_mask", torch.ones_like(ids)).bool()
        if decoded is not None:                             # its states are as long as the target
            stacks = [stack.path for stack in self.described.stacks if "decoder" in stack.path.split(".")]
            batch.side["masks"] = dict.fromkeys(stacks, decoded)
        return batch

    def _check_ids(self, batch: Batch, samples: Sequence[Sample]) -> None:
        """NexusError for a token that has no row in the embedding."""
        number = check_tokens(batch, self.rows, samples, self.config, self.home.name)
        if number is not None:
            token = self.preprocessor.tokenizer.convert_ids_to_tokens(number)
            raise NexusError(
                f"The tokenizer of '{self.home.name}' makes the id {number} ('{str(token)[:40]}'), and the model has "
                f"{min(self.rows.values())} rows for words. Its tokenizer is of another model, or it was given words "
                "that the model never learned: fetch both from one place."
            )

    def lengths(self, samples: Sequence[Sample]) -> Sequence[int] | None:
        """Tokens of each sample, for those who put like lengths together; None where length is not what varies."""
        return self.preprocessor.lengths(samples)

    def groups(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]]:
        """Samples that may be one batch: those with the same modalities and ready arguments; films in which something
        is followed go alone."""
        if self.films:
            return [[at] for at in range(len(samples))]
        found: dict[tuple[Any, ...], list[int]] = {}
        for at, sample in enumerate(samples):
            found.setdefault(self.preprocessor.likeness(sample), []).append(at)
        return list(found.values())

    def read(self, output: Any, batch: Batch) -> Signal:
        """The forward's output in standard terms: logits of a vocabulary as outputs["logits"] with `hidden` before
        them; scores of classes, sound and the masks of a film as outputs["output"]; else an embedding."""
        if self.described.gives == ("text",):
            return _text_signal(output, batch, self.preprocessor.channels_out)
        if self.described.gives == ("label",):
            return Signal(outputs={"output": getattr(output, "logits", None) if "logits" in output else _first(output)})
        if self.described.gives == ("audio",):
            return Signal(outputs={"output": _sound(output, batch, self.preprocessor.channels_out)})
        if self.films:
            return Signal(outputs={"output": output.pred_masks, "embedding": output.pred_masks.flatten(3).mean(-1)})
        vector = _embedding(output, batch.get("attention_mask"), getattr(batch, "side", {}).get("stands_in", ""))
        vector = _of_each(vector, batch)
        return Signal(outputs={"output": vector, "embedding": vector})

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """Greedy: the text that follows each sample's "prompt" (or "text"), or that its sound says; the name of the
        likeliest class; a codec's sound; an embedding."""
        if self.described.gives == ("text",):
            return [answer(module, self.preprocessor, sample) for sample in samples]
        signal = self.read(module(**self.collate(samples)), {})
        if self.described.gives == ("label",):
            return [self.described.labels[index] for index in signal.outputs["output"].argmax(-1).tolist()]
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

    def _told(self) -> str:
        """The hash of the tokenizer, of a large one that of its files; "" where there is none, which the blueprint
        reports as missing."""
        return ("text" in self.preprocessor.takes and hashed_files(self.preprocessor.home)) or self._tokenizer()

    def _tokenizer(self) -> str:
        """The hash of the tokenizer itself; "" where there is none."""
        if "text" not in self.preprocessor.takes:
            return ""
        try:
            return tokenizer_hash(self.preprocessor.tokenizer)
        except NexusError:
            return ""


def _of_each(found: Tensor, batch: Batch) -> Tensor:
    """One row for each sample of a tower that gives one for each patch of all pictures, or for each frame: the mean of
    a sample's, by its grid where the pictures have any size. Rows [N, D] or [N, T, D] -> [B, D]. NexusError for what
    is of no sample alone: Jev answers one prompt a batch."""
    count = int(getattr(batch, "side", {}).get("count", 0))
    if not count or len(found) == count:
        return found
    if count == 1 and found.ndim == 1:
        return found[None]                                  # the scores of one prompt
    if found.ndim < 2 or len(found) < count:
        raise NexusError(f"The model gives {len(found)} rows for {count} samples. Give it one sample a batch.")
    found = found.mean(1) if found.ndim == 3 else found
    grids = next((batch[name] for name in ("grid_thw", "image_grid_thw") if name in batch), None)
    areas = grids.prod(-1).tolist() if isinstance(grids, Tensor) and len(grids) == count else [1] * count
    if any(len(found) * area % sum(areas) for area in areas):
        raise NexusError(f"The model gives {len(found)} rows for {count} samples. Give it one sample a batch.")
    parts = found.split([len(found) * area // sum(areas) for area in areas])
    return torch.stack([part.mean(0) for part in parts])


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


def _sound(output: Any, batch: Batch, channels: int) -> Tensor:
    """The waves of an output, by name: before a codec's stands its loss, one number for each sample. Of a decoder of
    codes their logits, those of a sample's codebooks side by side: [B, channels, T, V]."""
    named = (getattr(output, name, None) for name in ("audio_values", "waveform"))
    found = next((each for each in named if isinstance(each, Tensor)), None)
    if found is not None:
        return found
    found = _first(output)
    coded = channels > 1 and "decoder_input_ids" in batch and found is getattr(output, "logits", None)
    return found.unflatten(0, (-1, channels)) if coded else found


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
