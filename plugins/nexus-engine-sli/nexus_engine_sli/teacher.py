"""A checkpoint that runs: what `Engine.load` gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import greenlet
import torch
from nexus_specs import Batch, Blueprint, Budget, Checkpoint, Edit, NexusError, NotResident, Sample, Sink, Tap
from nexus_torch.padding import to_device
from torch import nn

from .loading import Resident, Room
from .running import Hub, layer_paths
from .taps import Taps, mask_of

BATCHES_AT_ONCE = 64
"""Micro-batches that are collated and grouped together where each is on its own."""


@dataclass(frozen=True)
class MicroBatch:
    """Samples that pass together, as the model's arguments."""

    keys: tuple[str, ...]
    batch: Batch


class SliTeacher:
    """Observes batch by batch while everything is resident, layer by layer with edits or where layers are streamed."""

    def __init__(self, checkpoint: Checkpoint, room: Room, budget: Budget) -> None:
        self.checkpoint, self.room, self.budget = checkpoint, room, budget
        self.blueprint: Blueprint = checkpoint.blueprint
        self.resident = isinstance(room, Resident)
        self.module: nn.Module | None = room.module if self.resident else None
        self.current: dict[Any, tuple[MicroBatch, str]] = {}
        self.passes = 0
        """Modules that the last observation with edits ran."""

    @torch.no_grad()
    def observe(
        self, samples: Iterable[Sample], taps: Sequence[Tap], sink: Sink, edits: Sequence[Edit] = ()
    ) -> None:
        """Puts a piece for every (sample, tap, edit) into the sink. Duplicate keys are observed once a time they come.

        With edits, and where layers are streamed, all samples are in memory at once, as one state each.
        """
        wanted = Taps(taps, sink)
        self._check(wanted, edits)
        with self._tapped(wanted):
            if self.resident and not edits:
                for chunk in _chunks(samples, self.budget.micro_batch * BATCHES_AT_ONCE):
                    for each in self._batches(chunk):
                        self._forward(wanted, each, "")
            else:
                self._lead(list(self._batches(list(samples))), wanted, edits)
        sink.flush()

    @torch.no_grad()
    def generate(self, samples: Sequence[Sample]) -> Sequence[Any]:
        """One answer a sample, greedy. NotResident for a streamed teacher."""
        if self.module is None:
            raise NotResident(
                "Answers need the whole model at once, and it is streamed: every token would read it again. "
                "Give the run more memory (run.memory), or a metric that judges likelihoods."
            )
        answers: dict[str, Any] = {}
        for chunk in self._grouped(list(samples)):
            answers |= zip((sample.key for sample in chunk), self.checkpoint.generate(self.module, chunk), strict=True)
        return [answers[sample.key] for sample in samples]

    def _lead(self, batches: Sequence[MicroBatch], taps: Taps, edits: Sequence[Edit]) -> None:
        """Through the hub."""
        layers = layer_paths(self.room.module, self.blueprint.stacks)
        hub = Hub(self.room, layers, edits, tuple(taps.modules) if edits else ())
        hub.lead([each.batch for each in batches], lambda run: self._forward(taps, batches[run.index], run.name))
        self.passes = hub.passes

    def _forward(self, taps: Taps, each: MicroBatch, edit: str) -> None:
        """One forward, its pieces included. The greenlet, if there is one, knows its own batch."""
        self.current[greenlet.getcurrent()] = (each, edit)
        try:
            output = self.room.module(**to_device(each.batch, self.budget.device))
            taps.signal(each.keys, self.checkpoint.read(output, each.batch), edit)
        finally:
            del self.current[greenlet.getcurrent()]

    @contextmanager
    def _tapped(self, taps: Taps) -> Iterator[None]:
        """Hooks on the tapped modules, which send what passes to the sink."""
        handles = []
        try:
            for path, tap in taps.modules.items():
                module = self.room.module.get_submodule(path)
                handles.append(module.register_forward_hook(self._hook(taps, tap)))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, taps: Taps, tap: Tap) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            each, edit = self.current[greenlet.getcurrent()]
            taps.state(each.keys, tap, output, mask_of(each.batch), edit)

        return hook

    def _batches(self, samples: Sequence[Sample]) -> Iterator[MicroBatch]:
        for chunk in self._grouped(samples):
            batch = self.checkpoint.collate(chunk)
            yield MicroBatch(tuple(sample.key for sample in chunk), batch)

    def _grouped(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Micro-batches in order; a checkpoint whose batches must be of one kind says which samples go together."""
        groups = getattr(self.checkpoint, "groups", None)
        for group in groups(samples) if groups and samples else [range(len(samples))]:
            yield from _chunks((samples[index] for index in group), self.budget.micro_batch)

    def _check(self, taps: Taps, edits: Sequence[Edit]) -> None:
        known = {path for path, _ in self.room.module.named_modules()}
        for path in (*taps.modules, *(path for edit in edits for path in edit.modules)):
            if path not in known:
                layers = [stack.layers[0] for stack in self.blueprint.stacks]
                known_layers = ", ".join(layers) or "none"
                raise NexusError(f"The model has no module '{path}'. Its stacks begin at: {known_layers}.")


def _chunks(items: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, max(1, size))):
        yield chunk

