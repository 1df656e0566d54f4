"""A checkpoint that runs: what `Engine.load` gives."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import greenlet
import torch
from nexus_specs import (
    Blueprint,
    Budget,
    Checkpoint,
    Edit,
    NexusError,
    NotResident,
    Sample,
    Sink,
    Tap,
)
from torch import nn

from .batching import Batching
from .calling import TOLD, feeding, placed, refused
from .files.reading import read
from .memory.allocating import give_back
from .memory.tracking import unnoted
from .outputs.deferring import deferring
from .outputs.naming import check_named
from .outputs.taps import Taps
from .resuming.equal import fingerprint
from .resuming.returning import Mismatch
from .rooms.resident import Resident, Room
from .rooms.streamed import Streamed
from .running.following import EditHub
from .running.forwards import Run, seeded
from .running.hub import layer_paths
from .running.lending import Lending
from .running.streaming import MicroBatch, Observation
from .weights.checking import Finder, watch

WIDE = 1 << 14
"""Scores of a token from which on the memory of a batch's logits is given back behind it (`allocating`)."""


class SliTeacher:
    """Observes batch by batch while everything is resident, layer by layer with edits or where layers are streamed."""

    def __init__(self, checkpoint: Checkpoint, room: Room, budget: Budget) -> None:
        self.checkpoint, self.room, self.budget = checkpoint, room, budget
        self.blueprint: Blueprint = checkpoint.blueprint
        self.resident = isinstance(room, Resident)
        self.module: nn.Module | None = room.module if self.resident else None
        self.batching = Batching(checkpoint, budget.micro_batch, room.dtype)
        self.current: dict[Any, tuple[MicroBatch, str]] = {}
        self.looked, self.closed, self.lock = False, False, threading.RLock()
        self.process = os.getpid()
        self.passes = 0
        """Modules that the last observation with edits ran."""

    @torch.no_grad()
    def observe(
        self, samples: Iterable[Sample], taps: Sequence[Tap], sink: Sink, edits: Sequence[Edit] = ()
    ) -> None:
        """Puts a piece for every (sample, tap, edit) into the sink. Duplicate keys are observed once a time they come.

        Resident, batch by batch; with edits, all samples and edits at once in memory. Streamed, all samples and edits
        at once as one state each, in memory or on the disk. Several threads take turns: hooks and weights are the
        module's. NexusError for a module that is tapped and that no sample came to.
        """
        with self.lock:
            self._observe(samples, taps, sink, edits)

    def _observe(self, samples: Iterable[Sample], taps: Sequence[Tap], sink: Sink, edits: Sequence[Edit]) -> None:
        self._check_open()
        wanted = Taps(taps, sink, self.blueprint.vocabulary, frozenset(dict(self.room.module.named_children())))
        check_named(self.room.module, self.blueprint, wanted, edits)
        edited = {path for edit in edits for path in edit.modules}
        with self._tapped(wanted), deferring(self.room.module, edited):
            if isinstance(self.room, Streamed):
                self._streamed(self.room, samples, wanted, edits)
            elif edits:
                self._with_edits(self.batching.chunked(samples), wanted, edits)
            else:
                for each in self.batching.chunked(samples):
                    with torch.random.fork_rng(devices=()):
                        torch.set_rng_state(seeded())
                        self._forward(wanted, each, "")
                    if self.blueprint.vocabulary >= WIDE:
                        give_back()
        wanted.check_ran()
        sink.flush()

    def _check_open(self) -> None:
        """NexusError where weights that come while the model runs will not come."""
        if self.resident:
            return
        if self.closed:
            raise NexusError(
                f"The teacher '{self.blueprint.head}' was closed, and its weights come while it runs. Observe it "
                "before the context of `load` ends, or load it again."
            )
        if self.process != os.getpid():                     # its threads stayed behind, and would be waited for
            raise NexusError(
                f"The teacher '{self.blueprint.head}' was loaded by another process, whose threads bring its weights. "
                "Load it in the process that observes it."
            )

    @torch.no_grad()
    def generate(self, samples: Sequence[Sample]) -> Sequence[Any]:
        """One answer a sample, greedy. NotResident for a streamed teacher."""
        if self.module is None:
            raise NotResident(
                "Answers need the whole model at once, and it is streamed: every token would read it again. "
                "Give the run more memory (run.memory), let it be quantised (quantise: auto), or take a metric that "
                "judges likelihoods."
            )
        answers: dict[int, Any] = {}
        for chunk in self.batching.grouped(list(samples)):
            answers |= zip(map(id, chunk), self._answered(self.module, chunk), strict=True)
        return [answers[id(sample)] for sample in samples]

    def _answered(self, module: nn.Module, chunk: Sequence[Sample]) -> Sequence[Any]:
        """Answers of some samples. NexusError where the model's own code refuses them."""
        with self.lock, self._looking(module), feeding(module, self.budget.device, self.room.dtype):
            try:
                return self.checkpoint.generate(module, chunk)
            except TOLD:
                raise
            except Exception as error:                      # models fail in their own ways
                raise NexusError(refused(module, {}, [sample.key for sample in chunk], error)) from error

    def _streamed(self, room: Streamed, samples: Iterable[Sample], taps: Taps, edits: Sequence[Edit]) -> None:
        """Layer by layer; from a checkpoint, if an earlier process was killed at the same work."""
        layers = [path for path in layer_paths(room.module, self.blueprint.stacks) if path not in room.staying]
        same = fingerprint(self.checkpoint, taps.wanted, self.budget, edits, room.order)
        lending = Lending(taps.again)
        observation = Observation(room, layers, self.budget, same, taps.sink, edits, taps.edited, lending)
        once = observation.checkpoints is None and not edits
        known: Iterable[Sample] = samples if once else list(samples)
        observation.lead(lambda: self.batching.chunked(known), lambda run, each: self._forward(taps, each, run.name))
        taps.resumed = observation.resumed
        self.passes = observation.passes

    def _with_edits(self, batches: Iterable[MicroBatch], taps: Taps, edits: Sequence[Edit]) -> None:
        """All samples and edits at once in memory."""
        layers = layer_paths(self.room.module, self.blueprint.stacks)
        lending, listed = Lending(taps.again), list(batches)

        def lead() -> None:
            hub = EditHub(self.room, layers, edits, taps.edited, lending=lending)
            hub.lead_all(self._family(at, each, taps, edits) for at, each in enumerate(listed))
            self.passes = hub.passes

        while not lending.whole(lead):
            pass

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
                output = self._called(placed(each.batch, self.budget.device, self.room.dtype), each.keys, taps)
            signal = self.checkpoint.read(output, each.batch)
            if self.resident and not edit and not self.looked:
                watch((signal.hidden, signal.outputs), self._look)      # a head's own weights show in the logits alone
            taps.signal(each.keys, signal, edit)
            taps.passed += len(each.keys)
        finally:
            del self.current[greenlet.getcurrent()]

    def _called(self, batch: Mapping[str, Any], keys: Sequence[str], taps: Taps) -> Any:
        """What the model gives. NexusError where its own code refuses what it is given; Mismatch where it does so on
        the way back to where it was, with zeros in the place of states; what a sink raises, as it is."""
        try:
            return self.room.module(**batch)
        except (*TOLD, Mismatch):
            raise
        except Exception as error:                          # models fail in their own ways
            if error is taps.failed:
                raise
            if getattr(greenlet.getcurrent(), "replaying", False):
                raise Mismatch("the forward fails on the way back") from error
            raise NexusError(refused(self.room.module, batch, keys, error)) from error

    def _look(self) -> None:
        """NexusError where what a resident model gave is not finite because its weights are not. Looked for once."""
        if self.looked:
            return
        self.looked = True
        Finder(self.checkpoint, read).whole(self.room.module, self.checkpoint.parts)

    @contextmanager
    def _looking(self, module: nn.Module) -> Iterator[None]:
        """While this lasts, what a resident model gives is looked at: answers are made of NaN, too."""
        if self.looked:
            yield
            return
        handle = module.register_forward_hook(lambda _, __, output: watch(output, self._look))
        try:
            yield
        finally:
            handle.remove()

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
            taps.ran.add(tap.path)
            if (edit and tap.intact) or (isinstance(run, Run) and run.replaying):
                return                                      # nobody asked, or it was before the process was killed
            with self._precision(False), unnoted(run):      # a basis is no work for half precision
                taps.state(each.keys, tap, output, each.batch, edit)

        return hook

    def _precision(self, half: bool) -> AbstractContextManager[Any]:
        """Matrix products in bfloat16, or as they are. Nothing is cached: that would keep layers that are gone."""
        kind = torch.device(self.budget.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=half, cache_enabled=False)
