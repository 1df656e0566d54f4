"""A GGUF file as a checkpoint: a transformers module, its weights made of stored blocks one part at a time."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Part, Sample, Signal
from nexus_torch.hugging_face.blueprint import blueprint, context_of
from nexus_torch.hugging_face.configuration.classes import gives, skeleton
from nexus_torch.hugging_face.text.decoding import decodes, start_of
from nexus_torch.hugging_face.text.embedded import rows_of
from nexus_torch.hugging_face.weights.checkpoint import HuggingFaceCheckpoint
from nexus_torch.making import Making
from nexus_torch.skeleton import without_weights
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from .configuration import configuration, noughts
from .dequantise import unreadable
from .layouts import layout
from .plan import divide, joined, members, recipes, unused, weights
from .preprocessing import FIRST, LAST, GgufPreprocessor, pooled
from .rotary import divided
from .rules import LAYER, layer_of
from .source import Source
from .tokenizer import brief
from .types import PLAIN, commonest, described, type_name
from .unpacked import Opened, Unpacked, some_at_once
from .values import Target


class GgufCheckpoint(HuggingFaceCheckpoint):
    """Kind "checkpoint" of a GGUF file."""

    takes: tuple[str, ...] = ("text",)
    preprocessing: type[GgufPreprocessor] = GgufPreprocessor

    def __init__(self, source: Source) -> None:
        self.source, self.home = source, source.path
        self.layout = layout(source)
        self.config = self.configured()
        module = self.bare()
        constants = self.layout.constants
        turning = {} if "rope_freqs" in self.layout.read else divided(source, module)
        self.constants: Mapping[str, Tensor] = turning | dict(constants(source, module) if constants else {})
        self.shapes = {name: tuple(tensor.shape) for name, tensor in weights(module).items()}
        self.plan = recipes(module, source, self.layout, frozenset(self.constants))
        self._check_shapes()
        self.targets = {name: (name, None) for name in (*self.plan, *self.constants)}
        self.filled = frozenset(self.targets)
        self.parts: tuple[Part, ...] = divide(module, source, self.plan)
        self.unused = unused(source, self.layout, self.parts)
        self.members = members((*self.plan, *self.constants), self.parts)
        kind, self.rows = type(module), rows_of(module)
        arguments = frozenset(inspect.signature(kind.forward).parameters)
        self.preprocessor = self.preprocessing(
            self.home,
            self.takes,
            generative=gives(kind) == ("text",),
            context=context_of(self.config),
            channels=3,
            arguments=arguments,
            decoder_start=start_of(self.config, {}) if decodes(self.config, kind.__name__, arguments) else None,
        )
        self.preprocessor.source = source
        self.described = self._blueprint(module)

    def configured(self) -> PreTrainedConfig:
        """The configuration that the metadata describes."""
        return configuration(self.source, self.layout)

    def bare(self) -> PreTrainedModel:
        """The module without what no GGUF file holds: towers of other modalities (they are in an mmproj file)."""
        with self._named(noughts(self.source)):
            module = skeleton(self.config, self.layout.kind if self.layout.within else None)
        for path in self.layout.absent:
            owner, _, leaf = path.rpartition(".")
            setattr(module.get_submodule(owner), leaf, None)
        if "output.weight" in self.source.places:
            _untie(module)
        return module

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Stored bytes by tensor name -> the module's tensors by full name, each made when it is asked for."""
        text = self.config.get_text_config()
        names = list(self._members(part, raw))
        uses = (source for name in names if name in self.plan for source in self.plan[name].sources)
        stored = Opened(self.source, self.plan, raw)
        opened = Unpacked(stored, uses)

        def make(name: str, dtype: torch.dtype | None = None) -> Tensor:
            if name in self.constants:
                return self.constants[name]
            sources = self.plan[name].sources
            divided = stored.divides(self.plan[name], self.shapes[name]) and all(map(opened.last, sources))
            if _valueless(raw) or not divided:
                return self._made(name, [opened[each] for each in sources], text)
            size = sum(map(stored.size, sources))
            return some_at_once(
                stored.count(sources[0]), size,
                lambda some: self._made(name, [stored(each, some) for each in sources], text), dtype,
            )  # fmt: skip

        return Making(names, make, make)

    def _members(self, part: Part, raw: Mapping[str, Any]) -> Iterator[str]:
        """The weights that are made of a part's stored tensors, and with it what no file stores."""
        inside = "" if part.path in self.members else f"{part.path}."
        for name in self.members[self._home(part.path)]:
            if name in self.constants:
                if name.startswith(inside) and not _valueless(raw):
                    yield name
            elif not raw.keys().isdisjoint(self.plan[name].sources):
                yield name

    @property
    def together(self) -> Mapping[str, str]:
        """Stored tensors that make one weight, by what their names begin with: an engine that divides a layer keeps
        them in one piece."""
        return joined(self.plan)

    def _home(self, path: str) -> str:
        """The layer in which a module is; "" outside of layers."""
        while path and path not in self.members:
            path = path.rpartition(".")[0]
        return path

    def _made(self, name: str, opened: Sequence[Tensor], text: Any) -> Tensor:
        """One weight of the module, or some of its rows (or experts), from stored tensors; `text` is the configuration
        of what reads words."""
        recipe = self.plan[name]
        shape = self.shapes[name]
        wholes = {self.source.places[each][1].shape[:1] for each in recipe.sources}
        (count,) = wholes.pop() if len(wholes) == 1 and () not in wholes else (0,)
        if shape and count and shape[0] % count == 0 and all(len(some) < count for some in opened):
            shape = (shape[0] // count * len(opened[0]), *shape[1:])    # DBRX has the rows of all experts in one matrix
        target = Target(name, shape, layer_of(name), text)
        try:
            with self._named():
                return recipe.undo(list(opened), target)
        except (RuntimeError, IndexError, ValueError, ZeroDivisionError) as error:
            sources = zip(recipe.sources, opened, strict=True)
            shapes = ", ".join(f"{each} {tuple(tensor.shape)}" for each, tensor in sources)
            raise NexusError(
                f"'{self.home}': the weight '{name}' {target.shape} cannot be made of {shapes}. The metadata and "
                "tensors of the file do not belong together: fetch or convert it again."
            ) from error

    def _check_shapes(self) -> None:
        """NexusError for stored tensors that do not make a weight of the module, seen from the header: each sort of
        layer once."""
        text, seen = self.config.get_text_config(), set()
        for name, recipe in self.plan.items():
            stored = [self.source.tensors[each].shape for each in recipe.sources]
            kind = (recipe.undo, LAYER.sub("", name), *stored, self.shapes[name])
            if kind not in seen:
                seen.add(kind)
                self._made(name, [torch.empty(each, device="meta") for each in stored], text)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Through its tokenizer. NexusError for a draft, which computes from another model's states."""
        if self.layout.wants:
            raise NexusError(
                f"'{self.home}' ({self.layout.head}) computes from {self.layout.wants}, and not from samples. It can "
                "be inspected and its weights read; observe the other model."
            )
        return super().collate(samples)

    def read(self, output: Any, batch: Batch) -> Signal:
        """As for any checkpoint; an encoder's states become one vector as the file says."""
        pooling = self.source.get("{arch}.pooling_type")
        if self.described.gives == ("embedding",) and pooling in (FIRST, LAST):
            vector = pooled(output.last_hidden_state, batch.get("attention_mask"), last=pooling == LAST)
            return Signal(outputs={"output": vector, "embedding": vector})
        return super().read(output, batch)

    def save_preprocessor(self, folder: Path) -> None:
        """Writes the tokenizer and the configuration that the metadata describes."""
        folder.mkdir(parents=True, exist_ok=True)
        self.preprocessor.tokenizer.save_pretrained(folder)
        self.config.save_pretrained(folder)

    @contextmanager
    def _named(self, hint: str = "") -> Iterator[None]:
        """An error from parts that know of no file names it, and ends with what else may be said."""
        try:
            yield
        except NexusError as error:
            raise NexusError(f"'{self.home}': {error}{hint}") from error

    def _told(self) -> str:
        """The hash of the tokenizer, of a large one that of its metadata."""
        found = brief(self.source) if "text" in self.takes else None
        return self._tokenizer() if found is None else found

    def _processors(self) -> dict[str, str]:
        """What makes tensors of samples, as it is built here of the metadata."""
        named = self.source.get("tokenizer.ggml.model")
        return {"tokenizer": PreTrainedTokenizerFast.__name__} if isinstance(named, str) else {}

    def _blueprint(self, module: PreTrainedModel) -> Any:
        words = self._told()
        missing = () if words or "text" not in self.takes else ("tokenizer.ggml (metadata of the file)",)
        missing += (self.layout.wants,) if self.layout.wants else ()
        if closed := unreadable(info.kind for _, info in self.source.places.values()):
            missing += (f"weights that can be read: {', '.join(closed)} is nothing that gguf can dequantise",)
        found = blueprint(module, self.parts, words, None, missing, self._processors())
        infos = {name: info for name, (_, info) in self.source.places.items()}
        held = {part.path: [infos[extent.key] for extent in part.extents] for part in self.parts}
        most = commonest(infos.values())
        return replace(
            found,
            stacks=tuple(
                replace(stack, dtype=described([info for layer in stack.layers for info in held[layer]]))
                for stack in found.stacks
            ),
            takes=self.takes,
            dtype=described(infos.values()),
            quantisation="" if most in PLAIN else type_name(most).lower(),
        )


def _valueless(raw: Mapping[str, Any]) -> bool:
    """Whether somebody asks what would be made of these tensors, with none that has values."""
    return bool(raw) and all(getattr(each, "is_meta", False) for each in raw.values())


def _untie(module: PreTrainedModel) -> None:
    """A head of its own, which the file has: some classes tie it always (T5)."""
    head, embedding = module.get_output_embeddings(), module.get_input_embeddings()
    if isinstance(head, nn.Linear) and head.weight is getattr(embedding, "weight", None):
        with without_weights():
            head.weight = nn.Parameter(torch.empty_like(head.weight, device="meta"), requires_grad=False)
