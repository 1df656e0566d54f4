"""A GGUF file as a checkpoint: a transformers module, its weights made of stored blocks one part at a time."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Part, Signal
from nexus_torch.hugging_face.blueprint import blueprint, context_of
from nexus_torch.hugging_face.checkpoint import HuggingFaceCheckpoint
from nexus_torch.hugging_face.classes import gives, skeleton
from nexus_torch.hugging_face.collate import Preprocessor
from nexus_torch.hugging_face.decoding import decodes, start_of
from nexus_torch.skeleton import without_weights
from torch import Tensor, nn
from transformers import PreTrainedModel

from .dequantise import dequantise
from .layout import configuration
from .layouts import layout
from .plan import divide, members, recipes, weights
from .rules import layer_of
from .source import Source
from .tokenizer import tokenizer
from .types import PLAIN, type_name
from .values import Target

MEAN, FIRST, LAST = 1, 2, 3
"""How an encoder's states become one vector, `enum llama_pooling_type`."""


class GgufPreprocessor(Preprocessor):
    """A preprocessor whose tokenizer is made of the file's metadata, in memory."""

    source: Source

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer. NexusError where the file describes none that can be built."""
        return tokenizer(self.source)


class GgufCheckpoint(HuggingFaceCheckpoint):
    """Kind "checkpoint" of a GGUF file."""

    def __init__(self, source: Source) -> None:
        self.source, self.home = source, source.path
        self.layout = layout(source)
        self.config = configuration(source, self.layout)
        module = self.bare()
        constants = self.layout.constants
        self.constants: Mapping[str, Tensor] = constants(source, module) if constants else {}
        self.shapes = {name: tuple(tensor.shape) for name, tensor in weights(module).items()}
        self.plan = recipes(module, source, self.layout, frozenset(self.constants))
        self.targets = {name: (name, None) for name in (*self.plan, *self.constants)}
        self.parts: tuple[Part, ...] = divide(module, source, self.plan)
        self.members = members((*self.plan, *self.constants), self.parts)
        kind = type(module)
        arguments = frozenset(inspect.signature(kind.forward).parameters)
        self.preprocessor = GgufPreprocessor(
            self.home,
            ("text",),
            generative=gives(kind) == ("text",),
            context=context_of(self.config),
            channels=3,
            arguments=arguments,
            decoder_start=start_of(self.config, {}) if decodes(self.config, kind.__name__, arguments) else None,
        )
        self.preprocessor.source = source
        self.blueprint = self._blueprint(module)

    def bare(self) -> PreTrainedModel:
        """The module without what no GGUF file holds: towers of other modalities (they are in an mmproj file)."""
        module = skeleton(self.config)
        for path in self.layout.absent:
            owner, _, leaf = path.rpartition(".")
            setattr(module.get_submodule(owner), leaf, None)
        _untie(module, own_head="output.weight" in self.source.places)
        return module

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Stored bytes by tensor name -> the module's tensors by full name."""
        opened = {name: dequantise(self.source.places[name][1], stored) for name, stored in raw.items()}
        made = {}
        text = self.config.get_text_config()
        for name in self.members[part.path]:
            if name in self.constants:
                made[name] = self.constants[name]
                continue
            recipe = self.plan[name]
            target = Target(name, self.shapes[name], layer_of(name), text)
            try:
                made[name] = recipe.undo([opened[each] for each in recipe.sources], target)
            except (RuntimeError, IndexError, ValueError, ZeroDivisionError) as error:
                shapes = ", ".join(f"{each} {tuple(opened[each].shape)}" for each in recipe.sources)
                raise NexusError(
                    f"'{self.home}': the weight '{name}' {target.shape} cannot be made of {shapes}. The metadata and "
                    "tensors of the file do not belong together: fetch or convert it again."
                ) from error
        return made

    def read(self, output: Any, batch: Batch) -> Signal:
        """As for any checkpoint; an encoder's states become one vector as the file says."""
        pooling = self.source.get("{arch}.pooling_type")
        if self.blueprint.gives == ("embedding",) and pooling in (FIRST, LAST):
            vector = _pooled(output.last_hidden_state, batch.get("attention_mask"), last=pooling == LAST)
            return Signal(outputs={"output": vector, "embedding": vector})
        return super().read(output, batch)

    def save_preprocessor(self, folder: Path) -> None:
        """Writes the tokenizer and the configuration that the metadata describes."""
        folder.mkdir(parents=True, exist_ok=True)
        self.preprocessor.tokenizer.save_pretrained(folder)
        self.config.save_pretrained(folder)

    def _blueprint(self, module: PreTrainedModel) -> Any:
        kinds: Counter[int] = Counter()
        for _, info in self.source.places.values():
            kinds[info.kind] += info.stop - info.start
        commonest = kinds.most_common(1)[0][0]
        name = PLAIN.get(commonest) or type_name(commonest)
        words = self._tokenizer()
        missing = () if words else ("tokenizer.ggml (metadata of the file)",)
        found = blueprint(module, self.parts, words, None, missing)
        return replace(
            found,
            stacks=tuple(replace(stack, dtype=name) for stack in found.stacks),
            takes=("text",),
            dtype=name,
            quantisation="" if commonest in PLAIN else name.lower(),
        )


def open_checkpoint(path: Path) -> GgufCheckpoint:
    """The checkpoint of a file. NexusError for what is no model, or of an architecture without a class."""
    return GgufCheckpoint(source(path))


def source(path: Path) -> Source:
    """The file's source, if it is a model that can be opened here."""
    from .catalogue import names
    from .layouts import LAYOUTS

    found = Source(path)
    kind = found.text("general.type", "model")
    if found.architecture == "clip" or kind == "mmproj":
        raise NexusError(f"'{path}' is the vision or audio part of a model (mmproj). Name the model's own file.")
    if kind != "model" or not found.places:
        raise NexusError(f"'{path}' holds {'no tensors' if kind == 'model' else f'an {kind}'}, not a whole model.")
    if found.architecture not in LAYOUTS:
        known = "gguf knows it, but transformers has no class for it" if found.architecture in names() else "unknown"
        raise NexusError(
            f"'{path}' is of the architecture '{found.architecture}' ({known}). "
            "`nexus list architectures --loader gguf` shows those that open."
        )
    return found


def _untie(module: PreTrainedModel, *, own_head: bool) -> None:
    """A head of its own where the file has one: some classes tie it always (T5)."""
    head, embedding = module.get_output_embeddings(), module.get_input_embeddings()
    if own_head and isinstance(head, nn.Linear) and head.weight is getattr(embedding, "weight", None):
        with without_weights():
            head.weight = nn.Parameter(torch.empty_like(head.weight, device="meta"), requires_grad=False)


def _pooled(states: Tensor, mask: Tensor | None, *, last: bool) -> Tensor:
    """States [B, T, D] -> [B, D]: of the first token, or of the last that is no padding."""
    if not last:
        return states[:, 0]
    ends = torch.full(states.shape[:1], states.shape[1]) if mask is None else mask.sum(1)
    return states[torch.arange(len(states)), ends.long() - 1]
