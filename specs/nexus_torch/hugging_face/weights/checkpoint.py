"""A Hugging Face checkpoint: names and meaning of its weights. The engine reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, Extent, NexusError, Part, Sample, Signal
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from nexus_torch.text import tokenizer_hash

from ..blueprint import blueprint, divide
from ..configuration.calling import across
from ..configuration.catalogue import is_head_of
from ..configuration.classes import gives, headless, runnable, skeleton, takes
from ..configuration.giving import body, writer
from ..described import Described, hashed_files
from ..folder import extents
from ..inputs.choosing import ChoicePreprocessor, texts
from ..inputs.collate import Preprocessor
from ..inputs.films import follows, lead
from ..inputs.preparing import prepared
from ..inputs.processors import processors
from ..inputs.showing import Showing
from ..inputs.understanding import understood
from ..outputs.answering import answer
from ..outputs.pooling import Pooling, pooling
from ..outputs.signals import remember_body, remember_state, signal
from ..text.embedded import check_arguments, check_some, check_tokens, positions_of, rows_of
from . import fitting
from .constants import compute_constants
from .conversion import Conversion
from .packed import Packing, check_stored, lacking, rounding, settings
from .unread import POOLER, fill_unread, without_pooler


class HuggingFaceCheckpoint(Showing, Described):
    """Kind "checkpoint" of a folder that transformers reads."""

    prepares: type[Preprocessor] = Preprocessor
    """What makes tensors of samples; a family with inputs of its own says here another."""
    rows: Mapping[str, int] = {}
    """How many tokens have a row in an embedding, by the argument of the forward, where that can be told."""
    colours = False
    """Whether the tokens that it writes are colours (ImageGPT): no tokenizer makes those."""
    positions = 0
    """How many tokens of a text have a learned position; 0: no limit of that kind."""
    across: tuple[str, ...] = ()
    """Stacks whose states hold channels before tokens."""
    films = False
    """Whether it follows objects through a film."""
    filled: frozenset[str] = frozenset()
    """Names in the module that its files fill."""
    poolerless = False
    """Whether it is a body whose pooler no file holds, and which does without."""
    pooling: Pooling | None = None
    """How a text becomes one vector, where its files say so."""
    untied: Sequence[Sequence[str]] = ()
    """Names of a tied weight of which the files hold several: each has its own."""

    def __init__(self, home: Path, config: PreTrainedConfig, *, weightless: bool = False) -> None:
        """`weightless`: of the configuration alone, to be described and not run."""
        config = runnable(config)
        self.home, self.config = home, config
        stored_as = config.dtype                            # building the module writes its own there
        module = self.bare()
        self.conversion = self.rules(module)
        found = {} if weightless else {extent.key: extent for extent in self.stored()}
        packing = Packing.of(settings(config), found, stored_as)
        self.targets = self.conversion.targets(list(packing.groups))
        self.packing = packing = packing.turning(module, self.targets)
        if not weightless and not self.targets:
            raise NexusError(
                f"None of the {len(found)} tensors in '{home.name}' belongs to {type(module).__name__}, which its "
                "config.json names. Fetch config.json and weights from one place."
            )
        unread = lacking(settings(config))
        if type(self.conversion) is Conversion and not unread:
            plain = {key: target for key, target in self.targets.items() if key not in packing.made}
            fitting.check_shapes(module, found, plain, home.name)
            check_stored(packing, found, self.targets, home.name)
        names = self.filled = frozenset(
            self.conversion.made(self.targets)
            if isinstance(self.conversion, Conversion)
            else (name for name, _ in self.targets.values())
        )
        self.poolerless = not weightless and not unread and without_pooler(module, names)
        if self.poolerless:
            setattr(module, POOLER, None)
        self.untied = fitting.stored_twice(module, names)
        fitting.untie(module, self.untied)
        stored = {key: self.targets[name] for name in self.targets for key in self.packing.groups[name]}
        self.parts: tuple[Part, ...] = divide(module, found, stored)
        kind = type(module)
        self.rows = rows_of(module)
        self.films, self.colours = follows(kind), is_head_of(kind.__name__, "CAUSAL_IMAGE_MODELING")
        self.positions = positions_of(module) if takes(kind) == ("text",) else 0
        self.preprocessor = prepared(home, config, module, self.prepares, self.positions)
        self.pooling = pooling(home) if "embedding" in gives(kind) and takes(kind) == ("text",) else None
        if self.pooling and self.pooling.longest:
            self.preprocessor.context = min(self.preprocessor.context or self.pooling.longest, self.pooling.longest)
        tokenizer = self._told()
        gone = fitting.no_weights(home) if weightless else "" if unread else (
            fitting.layers_without(module, self.parts, names) or self._weights_without(module)
            or fitting.buffers_without(module, names)
        )  # fmt: skip
        missing = [each for each in (gone, *unread, headless(config, kind), *self._missing(tokenizer)) if each]
        made = processors(home, config.model_type, self.preprocessor.takes)
        told = blueprint(module, self.parts, tokenizer, stored_as, missing, made)
        self.across = across(module, (each.path for each in told.stacks)) if takes(kind) == ("text",) else ()
        self.described = replace(told, context=min(told.context, self.preprocessor.context or told.context))

    def bare(self) -> PreTrainedModel:
        """The module on the meta device as its class makes it; a family that composes one says here of what."""
        return rounding(skeleton(self.config), settings(self.config))

    def stored(self) -> list[Extent]:
        """Every stored tensor."""
        return extents(self.home, lambda keys, stored: fitting.tied(self.conversion, keys, stored))

    def rules(self, module: PreTrainedModel) -> Conversion:
        """From stored names to the module's; a family with a layout of its own says here how."""
        return Conversion(module)

    def skeleton(self) -> nn.Module:
        """The module on the meta device. Its output carries the state before the head as `final`."""
        module = fitting.untie(self.bare(), self.untied)
        if self.poolerless:
            setattr(module, POOLER, None)
        compute_constants(module, self.filled)
        fill_unread(module, self.filled)
        within = writer(module)
        if (head := within.get_output_embeddings()) is not None:
            remember_state(within, head)
        if within is not module:
            remember_body(module, within)
        if "embedding" in gives(type(module)) and (under := body(module)) is not None:
            remember_body(module, under)
        if self.films:
            lead(module)
        return module

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Stored tensors by key -> the module's by full name."""
        return self.conversion.assemble(self.packing.unpack(raw), self.targets)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Through its tokenizer or processor."""
        with understood(samples, self.home):
            batch = self.preprocessor(samples)
        batch.side |= {"count": len(samples), "across": self.across}
        self._check_ids(batch, samples)
        check_some(batch, samples, self.home.name)
        decoded, ids = batch.side.get("decoder_mask"), batch.get("decoder_input_ids")
        if decoded is None and isinstance(ids, Tensor) and ids.ndim == 2 and len(ids) == len(samples):
            decoded = batch.get("decoder_attention_mask", torch.ones_like(ids)).bool()
        if decoded is not None:                             # its states are as long as the target
            stacks = [stack.path for stack in self.described.stacks if "decoder" in stack.path.split(".")]
            batch.side["masks"] = dict.fromkeys(stacks, decoded)
        return batch

    def _check_ids(self, batch: Batch, samples: Sequence[Sample]) -> None:
        """NexusError for a token that has no row in the embedding, and for arguments that fit none."""
        if self.preprocessor.takes == ("text",):
            check_arguments(samples, batch, self.positions, self.home.name)
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
        """The forward's output in standard terms."""
        found = signal(output, batch, self.described.gives, self.preprocessor.channels_out, films=self.films)
        return self.pooling(found, output, batch) if self.pooling else found

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """Greedy: the text that follows each sample's "prompt" (or "text"), or that its sound says; the name of the
        likeliest class; the likeliest of its choices; a codec's sound; an embedding."""
        if self.described.gives == ("text",):
            return [answer(module, self.preprocessor, sample, self._check_ids) for sample in samples]
        signal = self.read(module(**self.collate(samples)), {})
        if isinstance(self.preprocessor, ChoicePreprocessor):
            best = signal.outputs["output"].argmax(-1).tolist()
            named = [dict(enumerate(texts(sample))) for sample in samples]
            return [each.get(at, str(at)) for each, at in zip(named, best, strict=True)]
        if self.described.gives == ("label",):
            return [self.described.labels[index] for index in signal.outputs["output"].argmax(-1).tolist()]
        return list(signal.outputs.get("embedding", signal.outputs["output"]))

    def save_preprocessor(self, folder: Path) -> None:
        """Copies what makes tensors of samples, never weights."""
        self.preprocessor.keep(self.home, folder)

    def _weights_without(self, module: PreTrainedModel) -> str:
        """Which weights no file holds, in words; "" for a layout whose names are a family's own."""
        if not isinstance(self.conversion, Conversion):
            return ""
        several = self.conversion.several
        single = {key: target for key, target in self.targets.items() if target[1] not in several}
        return fitting.weights_without(module, self.filled) or fitting.experts_without(module, single)

    def _missing(self, tokenizer: str) -> list[str]:
        """Files that inputs need and that are not there."""
        media = {"image", "audio", "video"} & set(self.preprocessor.takes)
        files = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
        has = any((self.home / name).is_file() for name in files)
        return [*(["tokenizer.json"] if self._has_words and not tokenizer else []),
                *(["preprocessor_config.json"] if media and not has else [])]  # fmt: skip

    def _told(self) -> str:
        """The hash of the tokenizer, of a large one that of its files; "" where there is none, which the blueprint
        reports as missing."""
        return (self._has_words and hashed_files(self.preprocessor.home)) or self._tokenizer()

    @property
    def _has_words(self) -> bool:
        """Whether text goes in or comes out."""
        return "text" in self.preprocessor.takes or (self.preprocessor.generative and not self.colours)

    def _tokenizer(self) -> str:
        """The hash of the tokenizer itself; "" where there is none."""
        if not self._has_words:
            return ""
        try:
            return tokenizer_hash(self.preprocessor.tokenizer)
        except NexusError:
            return ""
