"""One observation of a streamed teacher: its forwards, the memory for their states, and its checkpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from nexus_specs import Batch, Budget, Checkpoint, Sink, Tap
from nexus_torch.identity import tensor_hash

from .loading import Streamed
from .resuming import Checkpoints, Keys, Mismatch, Resumption
from .running import Hub, Run, Stop
from .spilling import Spill
from .tracking import Tracker

LEAST, WORKING = 64 << 20, 128 << 20
"""Bytes that states have in any case; bytes of a batch's own work inside a layer, which they do not get."""


@dataclass(frozen=True)
class MicroBatch:
    """Samples that pass together, as the model's arguments."""

    keys: Keys
    batch: Batch


class States:
    """Keeps what waits (`running.Keeper`)."""

    def __init__(self, spill: Spill, checkpoints: Checkpoints | None) -> None:
        self.spill, self.checkpoints = spill, checkpoints

    def before(self, run: Run, then: Run | None) -> None:
        """Its states come back, and those of the next one begin to."""
        self.spill.bring(run)
        if then is not None:
            self.spill.expect(then)

    def after(self, run: Run) -> None:
        """Its states stay, or go."""
        if run.dead and self.checkpoints:
            self.checkpoints.ended(run)
        self.spill.settle(run)

    def behind(self, run: Run, stop: Stop) -> None:
        """Noted, so that it can be told again."""
        if self.checkpoints:
            self.checkpoints.behind(run, stop)

    def round(self, runs: Sequence[Run]) -> None:
        """A checkpoint, where it is time."""
        if self.checkpoints and self.checkpoints.due():
            self.checkpoints.write(runs, self.spill.bring, self.spill.settle)


Forward = Callable[[Run, MicroBatch], None]


class Observation:
    """Leads the forwards of one observation. `durable` sinks keep their pieces when the process is killed, so it can
    go on from a checkpoint; with others it begins again."""

    def __init__(self, room: Streamed, layers: Sequence[str], budget: Budget, fingerprint: str, sink: Sink) -> None:
        self.room, self.layers, self.budget = room, layers, budget
        folder = budget.scratch if budget.scratch != Path() else None
        durable = folder is not None and getattr(sink, "durable", False)
        self.folder = (folder or Path()) / "states"
        self.checkpoints = Checkpoints(self.folder, fingerprint, budget.disk, sink.flush) if durable else None
        self.passes = 0

    def lead(self, batches: Callable[[], Iterable[MicroBatch]], forward: Forward) -> None:
        """Every batch through the model, from a checkpoint where there is one of the same work."""
        found = self.checkpoints.found() if self.checkpoints else None
        try:
            self._lead(batches(), forward, found)
        except Mismatch:
            assert self.checkpoints is not None
            self.checkpoints.forget()
            self._lead(batches(), forward, None)
        if self.checkpoints:
            self.checkpoints.remove()

    def _lead(self, batches: Iterable[MicroBatch], forward: Forward, found: Resumption | None) -> None:
        keys: dict[Run, Keys] = {}
        spill = Spill(self._limit(), self.folder, self.budget.disk)
        if self.checkpoints:
            self.checkpoints.keys = keys.__getitem__
        hub = Hub(self.room, self.layers, Tracker(), States(spill, self.checkpoints))

        def runs() -> Iterator[Run]:
            for at, each in enumerate(batches):
                if found and each.keys in found.done:
                    continue
                if found and each.keys not in found.runs:
                    raise Mismatch("other samples pass together")
                run = Run(lambda run, each=each: forward(run, each), at, each.batch)
                run.replaying = found is not None
                keys[run] = each.keys
                yield run

        if found:
            hub.back = lambda hub, run: found.bring(hub, run, keys[run])
        try:
            hub.lead(runs())
        finally:
            spill.close()
            self.passes = hub.passes

    def _limit(self) -> int:
        """Bytes of states in memory: what the budget leaves beside two units, what stays, and one batch's work."""
        if not self.budget.memory:
            return 0
        return max(LEAST, self.budget.memory - self.room.weights - WORKING)


def fingerprint(checkpoint: Checkpoint, taps: Sequence[Tap], budget: Budget) -> str:
    """A hash of what decides the bits of an observation: weights by place and size, taps, precision, batches, torch."""
    stored = [
        [each.key, each.file, each.start, each.stop, each.dtype] for part in checkpoint.parts for each in part.extents
    ]
    digest = hashlib.sha256(json.dumps(stored).encode())
    for file in sorted({str(row[1]) for row in stored}):
        if Path(file).is_file():
            digest.update(str(Path(file).stat().st_mtime_ns).encode())
    for tap in taps:
        digest.update(tap.path.encode())
        if tap.basis is not None:
            digest.update(repr((tap.basis.scale, *map(tensor_hash, (tap.basis.mean, tap.basis.directions)))).encode())
    digest.update(repr((budget.precision, budget.micro_batch, budget.quantise, torch.__version__)).encode())
    return digest.hexdigest()[:32]
