"""A checkpoint that runs: what `Engine.load` gives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from difflib import get_close_matches
from itertools import islice
from typing import Any

import greenlet
import torch
from nexus_specs import (
    SPECIAL_TAPS,
    Blueprint,
    Budget,
    Checkpoint,
    Edit,
    NexusError,
    NotResident,
    Sample,
    Sink,
    Tap,
    is_output,
)
from nexus_torch.padding import to_device
from torch import nn

from .allocating import give_back
from .checking import check_whole, watch
from .deferring import deferring
from .following import EditHub
from .forwards import Run, seeded
from .loading import Streamed
from .rooms import Resident, Room
from .running import layer_paths
from .streaming import MicroBatch, Observation, fingerprint
from .taps import Taps
from .tracking import unnoted

BATCHES_AT_ONCE = 32
"""Micro-batches that are grouped together where each is on its own: with 8 samples each, a shard of 256. So the same
batches pass when an extraction that was stopped goes on at the next shard."""
WIDE = 1 << 14
"""Scores of a token from which on the memory of a batch's logits is given back behind it (`allocating`)."""
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
        self.looked = False
        self.passes = 0
        """Modules that the last observation with edits ran."""

    @torch.no_grad()
    def observe(
        self, samples: Iterable[Sample], taps: Sequence[Tap], sink: Sink, edits: Sequence[Edit] = ()
    ) -> None:
        """Puts a piece for every (sample, tap, edit) into the sink. Duplicate keys are observed once a time they come.

        Resident, batch by batch; with edits, all samples and edits at once in memory. Streamed, all samples and edits
        at once as one state each, in memory or on the disk.
        """
        wanted = Taps(taps, sink, self.blueprint.vocabulary, frozenset(dict(self.room.module.named_children())))
        self._check(wanted, edits)
        with self._tapped(wanted), deferring(self.room.module):
            if isinstance(self.room, Streamed):
                self._streamed(self.room, samples, wanted, edits)
            elif edits:
                self._with_edits(self._chunked(samples), wanted, edits)
            else:
                for each in self._chunked(samples):
                    with torch.random.fork_rng(devices=()):
                        torch.set_rng_state(seeded())
                        self._forward(wanted, each, "")
                    if self.blueprint.vocabulary >= WIDE:
                        give_back()
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

    def _streamed(self, room: Streamed, samples: Iterable[Sample], taps: Taps, edits: Sequence[Edit]) -> None:
        """Layer by layer; from a checkpoint, if an earlier process was killed at the same work."""
        layers = layer_paths(room.module, self.blueprint.stacks)
        same = fingerprint(self.checkpoint, taps.wanted, self.budget, edits)
        observation = Observation(room, layers, self.budget, same, taps.sink, edits, tuple(taps.modules))
        known: Iterable[Sample] = samples if observation.checkpoints is None else list(samples)
        observation.lead(lambda: self._chunked(known), lambda run, each: self._forward(taps, each, run.name))
        self.passes = observation.passes

    def _with_edits(self, batches: Iterable[MicroBatch], taps: Taps, edits: Sequence[Edit]) -> None:
        """All samples and edits at once in memory."""
        layers = layer_paths(self.room.module, self.blueprint.stacks)
        hub = EditHub(self.room, layers, edits, tuple(taps.modules))
        hub.lead_all(self._family(at, each, taps, edits) for at, each in enumerate(batches))
        self.passes = hub.passes

    def _family(self, at: int, each: MicroBatch, taps: Taps, edits: Sequence[Edit]) -> list[Run]:
        def forward(run: Run) -> None:
            self._forward(taps, each, run.name)

        return [Run(forward, at, each.batch, edit) for edit in (None, *edits)]

    def _forward(self, taps: Taps, each: MicroBatch, edit: str) -> None:
        """One forward, its pieces included. The greenlet, if there is one, knows its own batch."""
        self.current[greenlet.getcurrent()] = (each, edit)
        narrow = self.room.dtype != torch.float32
        try:
            with self._precision(self.budget.precision == "bfloat16" and not narrow):
                batch = to_device(each.batch, self.budget.device)
                output = self.room.module(**(_narrowed(batch, self.room.dtype) if narrow else batch))
            signal = self.checkpoint.read(output, each.batch)
            if self.resident and not edit and not self.looked:
                watch(signal.outputs if signal.hidden is None else signal.hidden, self._look)
            taps.signal(each.keys, signal, edit)
        finally:
            del self.current[greenlet.getcurrent()]

    def _look(self) -> None:
        """NexusError where what a resident model gave is not finite because its weights are not. Looked for once."""
        self.looked = True
        check_whole(self.room.module, self.checkpoint.parts)

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
            if (edit and tap.intact) or (isinstance(run, Run) and run.replaying):
                return                                      # nobody asked, or it was before the process was killed
            with self._precision(False), unnoted(run):      # a basis is no work for half precision
                taps.state(each.keys, tap, output, each.batch, edit)

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
        known = {path for path, _ in self.room.module.named_modules() if path}
        gives = self.blueprint.gives                        # PersonaPlex: text, and codes, which a tap may name
        asked = {tap.path for tap in taps.wanted if "text" in gives and not is_output(tap.path)} - set(gives)
        for path in (*taps.modules, *asked, *(path for edit in edits for path in edit.modules)):
            if path not in known:
                near = get_close_matches(path, [*known, *SPECIAL_TAPS], 1, 0.7)
                meant = f" Did you mean '{near[0]}'?" if near else ""
                layers = ", ".join(stack.layers[0] for stack in self.blueprint.stacks) or "none"
                raise NexusError(f"The model has no module '{path}'.{meant} Its stacks begin at: {layers}.")
            self._check_runs(path)

    def _check_runs(self, path: str) -> None:
        """NexusError for a module that only holds others: nobody calls it."""
        module = self.room.module.get_submodule(path)
        if type(module).forward is nn.Module.forward:
            inner = next((f" Name one of them: {path}.{name}." for name, _ in module.named_children()), "")
            raise NexusError(f"'{path}' only holds other modules, and gives nothing itself.{inner}")


def _small(sample: Sample) -> bool:
    """Whether a sample holds media, and little of it; token ids are no media, and as long as one likes."""
    found = {name: value for name, value in sample.fields.items() if hasattr(value, "shape")}
    tokens = any(name.endswith(("ids", "mask")) or _are_ids(value) for name, value in found.items())
    size = sum(math.prod(each.shape) for each in found.values())
    return not tokens and "text" not in sample.fields and 0 < size <= SMALL


def _are_ids(value: Any) -> bool:
    """Whether an array is one row of whole numbers: no picture, and no sound."""
    return len(value.shape) < 2 and "float" not in str(value.dtype)


def _chunks(items: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, max(1, size))):
        yield chunk


def _narrowed(batch: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Floating inputs in the dtype of the weights, as whoever calls such a model gives them."""
    return {
        name: item.to(dtype) if isinstance(item, torch.Tensor) and item.dtype == torch.float32 else item
        for name, item in batch.items()
    }
