"""One observation of a streamed teacher: its forwards, the memory for their states, and its checkpoints."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from nexus_specs import Batch, Budget, Edit, NexusError, Sink

from ..files.proving import Damaged
from ..memory.spilling import Spill
from ..memory.tracking import Tracker
from ..planning.costs import WAITS
from ..resuming.checkpoints import Checkpoints, log
from ..resuming.returning import Mismatch, Resumption
from ..rooms.streamed import Streamed
from .following import EditHub
from .forwards import Run, Stop, family_of
from .hub import Hub
from .lending import Lending

LEAST, WORKING = 64 << 20, 128 << 20
"""Bytes that states have in any case; bytes of a batch's own work inside a layer, which they do not get."""


Keys = tuple[str, ...]


@dataclass(frozen=True)
class MicroBatch:
    """Samples that pass together, as the model's arguments."""

    keys: Keys
    batch: Batch


class States:
    """Keeps what waits (`running.Keeper`), and tells the sink how far the forwards are."""

    def __init__(self, spill: Spill, checkpoints: Checkpoints | None, order: Sequence[str], sink: Sink) -> None:
        self.spill, self.checkpoints = spill, checkpoints
        self.places = {path: at for at, path in enumerate(order)}
        self.tell: Callable[[int, int], None] | None = getattr(sink, "progress", None)
        self.at, self.here, self.alive, self.told = 0, 0, 0, 0
        """The unit that is there, how many families passed it, how many there are, and how many steps were told of."""
        self.standing: Sequence[Run] = ()
        """All forwards, while none of them is inside a unit."""

    def before(self, run: Run, then: Run | None) -> None:
        """Its states come back, and those of the next one begin to."""
        self.standing = ()
        self.spill.bring(family_of(run))
        if then is not None:
            self.spill.expect(family_of(then))

    def after(self, run: Run) -> None:
        """Its states stay, or go."""
        self.spill.settle(family_of(run))
        self.here += 1
        if self.tell and self.alive:                        # a unit that comes again is no step back, and no end
            every = len(self.places) * self.alive
            self.told = max(self.told, min(self.at * self.alive + min(self.here, self.alive), every - 1))
            self.tell(self.told, every)

    def over(self) -> None:
        """All forwards are."""
        if self.tell and self.alive:
            self.tell(len(self.places) * self.alive, len(self.places) * self.alive)

    def ended(self, run: Run) -> None:
        """What it gave is in the sink."""
        if self.checkpoints:
            self.checkpoints.ended(run)

    def behind(self, run: Run, stop: Stop) -> None:
        """Noted, so that it can be told again."""
        if self.checkpoints:
            self.checkpoints.behind(run, stop)

    def taken(self, run: Run) -> None:
        """Likewise."""
        if self.checkpoints:
            self.checkpoints.taken(run)

    def round(self, runs: Sequence[Run], unit: str, *, whole: bool = True) -> None:
        """A checkpoint, where it is time and all that must be kept is the forwards' own."""
        self.at, self.here, self.alive = self.places.get(unit, self.at), 0, len({family_of(run) for run in runs})
        if self.checkpoints and whole and self.checkpoints.due():
            self._keep(runs)
        self.standing = runs if whole else ()

    def all_here(self) -> bool:
        """Whether nothing was spilled that is not back."""
        return not self.spill.away

    def failed(self) -> None:
        """Where a unit could not be brought, or somebody stopped the process, all forwards may still stand before it:
        what they are is kept."""
        if self.checkpoints and self.standing:
            with suppress(NexusError):                      # what was wrong first is what is told
                self._keep(self.standing)

    def _keep(self, runs: Sequence[Run]) -> None:
        assert self.checkpoints is not None
        self.checkpoints.write(runs, self.spill.bring, self.spill.settle)


Forward = Callable[[Run, MicroBatch], None]


class Observation:
    """Leads the forwards of one observation, intact and under every edit. `durable` sinks keep their pieces when the
    process is killed, so it can go on from a checkpoint; with others it begins again.

    `watched` are modules that must really run in edited forwards too, since something inside them is tapped.
    """

    def __init__(
        self, room: Streamed, layers: Sequence[str], budget: Budget, fingerprint: str, sink: Sink,
        edits: Sequence[Edit] = (), watched: Sequence[str] = (), lending: Lending | None = None,
    ) -> None:  # fmt: skip
        self.room, self.layers, self.budget, self.sink = room, layers, budget, sink
        self.edits, self.watched, self.lending = edits, watched, lending or Lending()
        self.own = budget.scratch == Path()
        """Whether states that are spilled have a folder that nobody asked for, and that goes at the end."""
        durable = not self.own and getattr(sink, "durable", False)
        self.folder = Path(tempfile.gettempdir(), f"nexus-{uuid4().hex}") if self.own else budget.scratch / "states"
        self.note: Callable[[str], None] = getattr(sink, "note", log.warning)
        self.checkpoints: Checkpoints | None = None
        if durable:
            given = (self.folder, fingerprint, room.disk, sink.flush, room.files_before, self.note)
            self.checkpoints = Checkpoints(*given)
        self.passes, self.resumed, self.waiting = 0, False, 0
        """`waiting`: forwards that were started, each of which takes some memory beside its states."""

    def lead(self, batches: Callable[[], Iterable[MicroBatch]], forward: Forward) -> None:
        """Every batch through the model, from a checkpoint where there is one of the same work."""
        index = self.checkpoints.found() if self.checkpoints else None
        found = Resumption(self.checkpoints, index) if self.checkpoints and index else None
        self.resumed = found is not None
        if found:
            self.note(f"It goes on {found.where}.")
        while not self._led(batches(), forward, found):
            found = None
            if self.checkpoints:
                self.checkpoints.forget()
        if self.checkpoints:
            self.checkpoints.remove()
        if unproven := self.room.files.unproven:
            self.note(
                f"{len(unproven)} files of the hub came by ranges, in an order in which the hash of a file cannot be "
                "known; checked were the hash, size and range that each answer names. With more disk they come whole. "
                f"The first: {unproven[0]}"
            )

    def _led(self, batches: Iterable[MicroBatch], forward: Forward, found: Resumption | None) -> bool:
        """Whether all forwards came to their end. They begin again where a checkpoint does not lead to where it was
        taken, and where a model writes into what several of them hold."""
        try:
            return self.lending.whole(lambda: self._lead(batches, forward, found))
        except Mismatch:
            if found is None:
                raise
            return False
        except Damaged:
            self._forget()
            raise

    def _forget(self) -> None:
        """What was computed with damaged weights goes."""
        if self.checkpoints:
            self.checkpoints.forget()
        if forget := getattr(self.sink, "forget", None):
            forget()

    def _lead(self, batches: Iterable[MicroBatch], forward: Forward, found: Resumption | None) -> None:
        names: dict[Run, str] = {}
        spill = Spill(self._limit(), self.folder, self.room.disk)
        if self.checkpoints:
            self.checkpoints.names = names.__getitem__
        keeper = States(spill, self.checkpoints, self.room.order, self.sink)
        hub: Hub = Hub(self.room, self.layers, Tracker(), keeper)
        if self.edits:
            hub = EditHub(self.room, self.layers, self.edits, self.watched, Tracker(), keeper, self.lending)
        if found:
            hub.back = found.bring
        try:
            if isinstance(hub, EditHub):
                hub.lead_all(self._counted(self._families(batches, forward, found, names), spill))
            else:
                hub.lead(run for run, *_ in self._counted(self._families(batches, forward, found, names), spill))
            keeper.over()
        finally:
            spill.close()
            if self.own:
                shutil.rmtree(self.folder, ignore_errors=True)
            self.passes = hub.passes

    def _families(
        self, batches: Iterable[MicroBatch], forward: Forward, found: Resumption | None, names: dict[Run, str]
    ) -> Iterator[list[Run]]:
        """The forwards of each batch that are not over yet, the intact one first."""
        for at, each in enumerate(batches):
            family = []
            for edit in (None, *self.edits):
                run = Run(lambda run, each=each: forward(run, each), at, each.batch, edit)
                names[run] = "\n".join((run.name, *each.keys))
                run.replaying = found is not None
                if found and names[run] in found.done:
                    continue
                if found and names[run] not in found.runs:
                    raise Mismatch("other samples pass together")
                family.append(run)
            if family:
                yield family

    def _counted(self, families: Iterable[list[Run]], spill: Spill) -> Iterator[list[Run]]:
        """The same; the more wait, the less of their states stays in memory."""
        self.waiting = 0
        for family in families:
            self.waiting += len(family)
            spill.limit = self._limit()
            yield family

    def _limit(self) -> int:
        """Bytes of states in memory: what the budget leaves beside two units, what stays, one batch's work, and the
        forwards that wait."""
        if not self.budget.memory:
            return 0
        return max(LEAST, self.budget.memory - self.room.weights - WORKING - self.waiting * WAITS)
