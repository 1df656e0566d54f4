"""A checkpoint that runs: what `Engine.load` gives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any

import greenlet
import torch
from nexus_specs import Blueprint, Budget, Checkpoint, Edit, NexusError, NotResident, Sample, Sink, Tap
from nexus_torch.padding import to_device
from torch import nn

from .following import EditHub
from .loading import Resident, Room, Streamed
from .running import Run, layer_paths
from .streaming import MicroBatch, Observation, fingerprint
from .taps import Taps, mask_of

BATCHES_AT_ONCE = 32
"""Micro-batches that are grouped together where each is on its own: with 8 samples each, a shard of 256. So the same
batches pass when an extraction that was stopped goes on at the next shard."""
SMALL, MORE = 1 << 13, 8
"""Numbers of a picture, clip or film of which more pass together, and how many times more: calls, not arithmetic, are
what running such samples costs. A rule of the samples alone, so that the same batches pass on every machine."""


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

        Resident, batch by batch; streamed, all samples at once as one state each, in memory or on the disk; with
        edits, all samples and edits at once in memory.
        """
        wanted = Taps(taps, sink, copy=not self.resident)
        self._check(wanted, edits)
        with self._tapped(wanted):
            if edits:
                self._with_edits(list(self._chunked(samples)), wanted, edits)
            elif isinstance(self.room, Streamed):
                self._streamed(self.room, samples, wanted)
            else:
                for each in self._chunked(samples):
                    self._forward(wanted, each, "")
        sink.flush()

    @torch.no_grad()
    def generate(self, samples: Sequence[Sample]) -> Sequence[Any]:
        """One answer a sample, greedy. NotResident for a streamed teacher."""
        if self.module is None:
            raise NotResident(
                "Answers need the whole model at once, and it is streamed: every token would read it again. "
                "Give the run more memory (run.memory), let it be quantised (quantise: auto), or take a metric that "
                "judges likelihoods."
            )
        answers: dict[str, Any] = {}
        for chunk in self._grouped(list(samples)):
            answers |= zip((sample.key for sample in chunk), self.checkpoint.generate(self.module, chunk), strict=True)
        return [answers[sample.key] for sample in samples]

    def _streamed(self, room: Streamed, samples: Iterable[Sample], taps: Taps) -> None:
        """Layer by layer; from a checkpoint, if an earlier process was killed at the same work."""
        layers = layer_paths(room.module, self.blueprint.stacks)
        same = fingerprint(self.checkpoint, taps.wanted, self.budget)
        observation = Observation(room, layers, self.budget, same, taps.sink)
        known: Iterable[Sample] = samples if observation.checkpoints is None else list(samples)
        observation.lead(lambda: self._chunked(known), lambda _, each: self._forward(taps, each, ""))
        self.passes = observation.passes

    def _with_edits(self, batches: Sequence[MicroBatch], taps: Taps, edits: Sequence[Edit]) -> None:
        layers = layer_paths(self.room.module, self.blueprint.stacks)
        hub = EditHub(self.room, layers, edits, tuple(taps.modules))
        hub.lead_all([each.batch for each in batches], lambda run: self._forward(taps, batches[run.index], run.name))
        self.passes = hub.passes

    def _forward(self, taps: Taps, each: MicroBatch, edit: str) -> None:
        """One forward, its pieces included. The greenlet, if there is one, knows its own batch."""
        self.current[greenlet.getcurrent()] = (each, edit)
        narrow = self.room.dtype != torch.float32
        try:
            with self._precision(self.budget.precision == "bfloat16" and not narrow):
                batch = to_device(each.batch, self.budget.device)
                output = self.room.module(**(_narrowed(batch, self.room.dtype) if narrow else batch))
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
            run = greenlet.getcurrent()
            each, edit = self.current[run]
            if isinstance(run, Run) and run.replaying:
                return                                      # it was observed before the process was killed
            with self._precision(False), observing(run):    # a basis is no work for half precision
                taps.state(each.keys, tap, output, mask_of(each.batch, tap.path), edit)

        return hook

    def _precision(self, half: bool) -> AbstractContextManager[Any]:
        """Matrix products in bfloat16, or as they are. Nothing is cached: that would keep layers that are gone."""
        kind = torch.device(self.budget.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=half, cache_enabled=False)

    def _chunked(self, samples: Iterable[Sample]) -> Iterator[MicroBatch]:
        """The batches, made when they are asked for."""
        for chunk in _chunks(samples, self.budget.micro_batch * BATCHES_AT_ONCE):
            yield from self._batches(chunk)

    def _batches(self, samples: Sequence[Sample]) -> Iterator[MicroBatch]:
        for chunk in self._grouped(samples):
            batch = self.checkpoint.collate(chunk)
            yield MicroBatch(tuple(sample.key for sample in chunk), batch)

    def _grouped(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Micro-batches; a checkpoint whose batches must be of one kind says which samples go together."""
        groups = getattr(self.checkpoint, "groups", None)
        for group in groups(samples) if groups and samples else [range(len(samples))]:
            together = self._by_length([samples[index] for index in group])
            yield from _chunks(together, self.budget.micro_batch * (MORE if all(map(_small, together)) else 1))

    def _by_length(self, samples: list[Sample]) -> list[Sample]:
        """Samples of like length beside each other, where the checkpoint knows lengths: a fifth less is padding."""
        lengths = getattr(self.checkpoint, "lengths", None)
        known = lengths(samples) if lengths and len(samples) > self.budget.micro_batch else None
        if known is None:
            return samples
        return [samples[index] for index in sorted(range(len(samples)), key=known.__getitem__)]

    def _check(self, taps: Taps, edits: Sequence[Edit]) -> None:
        known = {path for path, _ in self.room.module.named_modules()}
        for path in (*taps.modules, *(path for edit in edits for path in edit.modules)):
            if path not in known:
                layers = [stack.layers[0] for stack in self.blueprint.stacks]
                known_layers = ", ".join(layers) or "none"
                raise NexusError(f"The model has no module '{path}'. Its stacks begin at: {known_layers}.")


def _small(sample: Sample) -> bool:
    """Whether a sample holds media, and little of it."""
    sizes = [math.prod(value.shape) for value in sample.fields.values() if hasattr(value, "shape")]
    return "text" not in sample.fields and 0 < sum(sizes) <= SMALL


def _chunks(items: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, max(1, size))):
        yield chunk


@contextmanager
def observing(run: Any) -> Iterator[None]:
    """What is computed here for an observation is none of the forward's states."""
    ledger = getattr(run, "ledger", None)
    if ledger is None:
        yield
        return
    ledger.paused = True
    try:
        yield
    finally:
        ledger.paused = False


def _narrowed(batch: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Floating inputs in the dtype of the weights, as whoever calls such a model gives them."""
    return {
        name: item.to(dtype) if isinstance(item, torch.Tensor) and item.dtype == torch.float32 else item
        for name, item in batch.items()
    }
