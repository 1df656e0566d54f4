"""The core with one tower, or the core alone in one teacher's vocabulary, as training sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, Blueprint, Sample, Signal, Stack, Tap, Tower
from nexus_torch.bases import project
from nexus_torch.files import write_tensors
from nexus_torch.stacks import stacks
from torch import Tensor, nn

from .cores import CORE, core_blueprint, stack_of
from .folders import write_core, write_tower
from .inputs import tower_batch
from .model import NexusModel, NexusOutput
from .reading import TextReader, text_batch
from .tower import slot
from .vocabulary import Vocabulary

VOCABULARIES = "vocabularies"
"""Folder of a core artefact: the embedding of each core teacher's vocabulary, as the core's training left it."""


class _Student:
    """What both kinds of student share."""

    blueprint: Blueprint
    module: NexusModel

    def forward(self, batch: Batch, taps: Sequence[Tap] = ()) -> Signal:
        """The signal of a batch; a tap is a path of `module`, in a basis if it names one."""
        with watched(self.module, taps) as states:
            output = self.module(**batch)
        return signal_of(output, batch, states)


class CoreStudent(_Student):
    """A core that is being trained, in the vocabulary of one of its teachers. All share one body."""

    def __init__(self, module: NexusModel, teacher: str, readers: Mapping[str, TextReader], home: str) -> None:
        self.module, self.teacher, self.readers, self.home = module, teacher, readers, home
        reader = readers[teacher]
        self.blueprint = replace(
            _prefixed(core_blueprint(module.core, None)), vocabulary=reader.words, tokenizer=reader.hash
        )

    def trainable(self) -> Iterable[tuple[str, nn.Parameter]]:
        """The body, and the embedding of this vocabulary."""
        words = self.module.core.get_input_embeddings().weight
        for name, parameter in self.module.core.named_parameters():
            if parameter is not words or self.teacher == self.home:
                yield f"core.{name}", parameter
        if self.teacher != self.home:
            name = slot(self.teacher)
            yield f"vocabularies.{name}.embedding", self.module.vocabularies[name].embedding  # type: ignore[union-attr, misc]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Texts in this teacher's tokens."""
        return text_batch(
            self.readers[self.teacher], samples, vocabulary="" if self.teacher == self.home else self.teacher
        )

    def save(self, folder: Path) -> None:
        """The whole core: body, own tokenizer, and every teacher's embedding as a warm start for its tower."""
        write_core(folder / CORE, self.module.core, self.readers[self.home].tokenizer)
        for teacher in self.readers:
            words = _embedding(self.module, teacher, self.home).detach().float()
            write_tensors(folder / VOCABULARIES / f"{teacher}.safetensors", {"embedding": words})


class TowerStudent(_Student):
    """A frozen core with a tower that is being trained."""

    def __init__(
        self, module: NexusModel, tower: Tower, name: str, reader: TextReader | None, dtype: torch.dtype
    ) -> None:
        self.module, self.tower, self.name, self.reader, self.dtype = module, tower, name, reader, dtype
        self.blueprint = tower_blueprint(module, name, reader)

    def trainable(self) -> Iterable[tuple[str, nn.Parameter]]:
        """All that is the tower's."""
        prefix = f"towers.{slot(self.name)}."
        return [(prefix + name, each) for name, each in self.module.tower(self.name).named_parameters()]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Texts in the tower's tokens, media through the tower."""
        return tower_batch(self.tower, self.module.tower(self.name).spec, self.reader, samples)

    def save(self, folder: Path) -> None:
        """The tower's own files."""
        tokenizer = None if self.reader is None else self.reader.tokenizer
        write_tower(folder, self.module.tower(self.name), self.module.core, tokenizer, self.dtype)


def tower_blueprint(
    module: NexusModel, name: str, reader: TextReader | None, core: Blueprint | None = None
) -> Blueprint:
    """What the core (measured here, unless it is known) with this tower is. The tower's layers are the last stack."""
    tower, core = module.tower(name), _prefixed(core or core_blueprint(module.core, None))
    own = {} if tower.own is None else stacks(tower.own)
    prefix = f"towers.{slot(name)}.own."
    added = sum(each.numel() for each in tower.parameters())
    return replace(
        core,
        family=module.config.model_type,
        head=type(module).__name__,
        takes=tower.spec.takes,
        gives=tower.spec.gives,
        labels=tower.spec.labels,
        stacks=(*core.stacks, *(_own_stack(tower.own, paths, prefix) for paths in own.values())),  # type: ignore[arg-type]
        parameters=core.parameters + added,
        active_parameters=core.active_parameters + added,
        vocabulary=(tower.spec.words or core.vocabulary) if tower.answers_in_text else 0,
        tokenizer="" if reader is None else reader.hash,
    )


def _own_stack(module: nn.Module, paths: Sequence[str], prefix: str) -> Stack:
    """A tower's layers. Their width is that of the first norm in them, which reads the residual stream; -1 where they
    have none: then no loss can be anchored there."""
    inside = module.get_submodule(paths[0]).modules()
    norms = (each.weight for each in inside if isinstance(getattr(each, "weight", None), Tensor))
    width = next((len(weight) for weight in norms if weight.ndim == 1), -1)
    return stack_of(module, paths, width, prefix)


@contextmanager
def watched(module: nn.Module, taps: Sequence[Tap]) -> Iterator[dict[str, Tensor]]:
    """Collects the outputs of the tapped modules while a forward runs."""
    states: dict[str, Tensor] = {}

    def keep(tap: Tap) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            states[tap.path] = hidden if tap.basis is None else project(hidden, tap.basis)

        return hook

    handles = [module.get_submodule(tap.path).register_forward_hook(keep(tap)) for tap in taps]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()


def signal_of(output: NexusOutput, batch: Batch, states: Mapping[str, Tensor] | None = None) -> Signal:
    """A forward's output in standard terms."""
    side = getattr(batch, "side", {})
    if output.output is not None:
        return Signal(keys=side.get("keys", ()), outputs={"output": output.output}, states=states or {})
    hidden = output.last_hidden_state
    return Signal(
        keys=side.get("keys", ()),
        hidden=hidden,
        head=output.head,
        tokens=batch["input_ids"],
        mask=side["mask"].to(hidden.device),  # type: ignore[union-attr]
        spans=side["spans"],
        states={path: _of_texts(path, state, hidden.shape[1]) for path, state in (states or {}).items()},
    )


def _of_texts(path: str, state: Tensor, length: int) -> Tensor:
    """A core's states without what `fused.evened` put after the texts; a tower's own are as long as they are."""
    return state[:, :length] if path.startswith(f"{CORE}.") else state


def _prefixed(blueprint: Blueprint) -> Blueprint:
    return replace(blueprint, stacks=tuple(replace(each, path=f"{CORE}.{each.path}") for each in blueprint.stacks))


def _embedding(module: NexusModel, teacher: str, home: str) -> Tensor:
    if teacher == home:
        return module.core.get_input_embeddings().weight  # type: ignore[no-any-return]
    vocabulary = module.vocabularies[slot(teacher)]
    assert isinstance(vocabulary, Vocabulary)
    return vocabulary.embedding
