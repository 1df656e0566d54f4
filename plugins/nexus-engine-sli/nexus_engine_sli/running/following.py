"""Edits: variants of every forward that ablate a module take the intact output until they reach it, and run on their
own from there. L ablations of L layers cost about L / 2 forwards, and a mean over the corpus is known when the first
variant needs it.

A batch, intact and under every edit, is a family: its forwards stand on each other's memory, so they are brought and
put away together. All families pass a unit before the next one is loaded; then those come apart whose edit waited for
the last intact batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from nexus_specs import Edit, NexusError
from torch import Tensor

from ..memory.tracking import Family, Ledger, Tracker
from ..outputs.aligning import mask_of
from ..outputs.taps import first_tensor, with_first
from ..rooms.resident import Room
from .forwards import Run, Stop
from .hub import EditKeeper, Hub
from .lending import Lending
from .writing import Shared, hand_over

Kin = Sequence[Run]
"""The forwards of one batch: the intact one first, then those under edits."""


class EditHub(Hub):
    """Leads all runs through the model, intact and under every edit."""

    keeper: EditKeeper | None

    def __init__(
        self, room: Room, layers: Sequence[str], edits: Sequence[Edit], watched: Sequence[str] = (),
        tracker: Tracker | None = None, keeper: EditKeeper | None = None, lending: Lending | None = None,
    ) -> None:  # fmt: skip
        super().__init__(room, layers, tracker, keeper)
        self.edits, self.watched, self.lending = tuple(edits), tuple(watched), lending or Lending()
        """`watched` are module paths that must really run, since something inside them is tapped."""
        edited = {path for edit in edits for path in edit.modules}
        self.units = sorted({*self.units, *edited})
        self.places = dict.fromkeys(self.units, -1) | self.places
        self.waits = self.layers | frozenset(room.order)
        self.shared: dict[tuple[int, str, int], Shared] = {}
        self.passed: dict[tuple[str, int], set[int]] = defaultdict(set)
        """Which batches a module has seen intact."""
        self.batches, self.over = 0, set[int]()
        """How many there are, and which are over intact."""

    def lead_all(self, families: Iterable[Kin]) -> None:
        """Runs the forwards of every batch, intact and under every edit. Modules run: B x (L + L (L + 1) / 2 - L) for L
        ablations of L layers. Rewritten where the model writes into what several of them hold."""
        started: list[Kin] = []
        runs: list[Run] = []
        with self._stopping(), self.ending(runs):
            for family in families:
                started.append(family)
                runs += family
                self._begin(family)
            self.batches = sum(run.edit is None for run in runs)
            while any(not run.dead for run in runs):
                self._step(started)

    def resume(self, run: Run, answer: Any = None) -> None:
        """Likewise, and nothing that others of its batch hold has changed."""
        super().resume(run, answer)
        self.lending.check(run.index)

    def _begin(self, family: Kin) -> None:
        """All of them to their first stop."""
        together = Family()
        for run in family:
            if self.tracker:
                run.ledger = Ledger(self.tracker.owners, together)
                run.ledger.inputs(run.batch.values())
            self.resume(run)
        if self.back:
            self.back(self, family)
        if self.keeper:
            self.keeper.after(family[0])

    def _step(self, families: Sequence[Kin]) -> None:
        """Variants that waited for the last intact batch come apart; where none did, all that wait in a place pass."""
        if apart := [family for family in families if any(self._takes(run) for run in family)]:
            self._turns(apart, None)
            return
        free = [run for run in _all(families) if self._free(run)]
        if not free:
            left = next(run for run in _all(families) if not run.dead)
            raise NexusError(f"The edit '{left.name}' waits for a module that not every batch passes.")
        path, visit, kind = self._next(free)
        if kind == "need":
            self.room.borrow(path)
        elif path in self.waits:
            self._enter(path, families)
        here = [family for family in families if any(_waits(run, path, visit, kind) for run in family)]
        self._turns(here, (path, visit, kind))

    def _enter(self, path: str, families: Sequence[Kin]) -> None:
        waiting = [run for run in _all(families) if run.edit and not run.apart and run.stop]
        needed = {(run.index, run.stop.path, run.stop.visit) for run in waiting if run.stop}
        self.shared = {place: each for place, each in self.shared.items() if place in needed}
        if path != self.current and self.keeper:
            alive = [run for run in _all(families) if not run.dead]
            self.keeper.round(alive, path, whole=not self.shared and not any(map(self._half_told, alive)))
        self.current = path
        self.room.enter(path)

    def _half_told(self, run: Run) -> bool:
        """Whether a variant is still to be edited by what its edit has seen of a module: the edits of a process that
        goes on have not seen it."""
        stop, edit = run.stop, run.edit
        waits = stop is not None and edit is not None and stop.path in edit.modules
        return waits and bool(self.passed.get((stop.path, stop.visit)))  # type: ignore[union-attr]

    def _turns(self, families: Sequence[Kin], place: tuple[str, int, str] | None) -> None:
        """Of each family, those that wait at a place pass, the intact one first; the others follow it."""
        for family, then in zip(families, [*families[1:], None], strict=True):
            if self.keeper:
                self.keeper.before(family[0], then[0] if then else None)
            for run in family:
                if place and _waits(run, *place) and self._free(run):
                    self._run(run)
                    self._leave(run)
                while self._takes(run):
                    self._take(run)
                    self._leave(run)
                self._close(run)
                if run.dead and run.edit is None:
                    self.over.add(run.index)
            if self.keeper:
                self.keeper.after(family[0])

    def _free(self, run: Run) -> bool:
        """Whether a run goes on by itself: intact, apart, or on its way to an edit inside a module. Nothing passes an
        edited module before all intact batches did."""
        stop, edit = run.stop, run.edit
        if stop is None or edit is None or stop.kind == "need":
            return stop is not None
        alone = run.apart or self._itself(run, stop) or self._must_run(stop.path, edit)
        return alone and (stop.path not in edit.modules or self._known(stop))

    def _takes(self, run: Run) -> bool:
        """Whether a variant may take over what the intact run was given, edited or not."""
        stop, edit = run.stop, run.edit
        if stop is None or edit is None or stop.kind != "before" or run.apart or self._itself(run, stop):
            return False
        if self._must_run(stop.path, edit):
            return False
        return self._known(stop) if stop.path in edit.modules else (run.index, stop.path, stop.visit) in self.shared

    def _itself(self, run: Run, stop: Stop) -> bool:
        """Whether a variant makes a module's output itself, while the module is there: what the intact run of its batch
        has just been given is not there any more as it was (Gemma 3n scales what its projection gives, in place), or
        would not stay so; or nobody kept it, since an edited module stands around this one."""
        shared = self.shared.get((run.index, stop.path, stop.visit))
        gone = shared.changed if shared else run.index in self.passed[stop.path, stop.visit]
        return (stop.kind == "before" and gone) or stop.path in self.lending.own

    def _known(self, stop: Stop) -> bool:
        """Whether all intact batches have passed a module, or are over: those without pictures never meet it."""
        return len(self.passed[stop.path, stop.visit] | self.over) >= self.batches

    def _run(self, run: Run) -> None:
        """Through the module before which it waits."""
        if run.stop and run.stop.kind == "before":
            self.passes += 1
        self.resume(run, (True, None))

    def _leave(self, run: Run) -> None:
        """Out of all modules at whose end it is."""
        while run.stop is not None and run.stop.kind == "behind":
            self._out(run, run.stop)

    def _out(self, run: Run, stop: Stop) -> None:
        """An intact run is looked at, an edited one is edited."""
        output, edit = stop.output, run.edit
        if edit is None:
            self._seen(run, stop)
        elif stop.path in edit.modules:
            run.apart = True
            output = self._edited(run, stop, output)
        if self.keeper and run.depth == 1:
            self.keeper.behind(run, Stop("behind", stop.path, stop.visit, output=output))
        self.hand(run, output)

    def _seen(self, run: Run, stop: Stop) -> None:
        self.room.passed(stop.path, stop.output)
        hidden = first_tensor(stop.output)
        self.shared[run.index, stop.path, stop.visit] = Shared(stop.output, hidden._version, stop.given)
        self.passed[stop.path, stop.visit].add(run.index)
        mask = mask_of(run.batch, stop.path)
        fits = mask is not None and mask.shape == hidden.shape[:2]
        if run.ledger:
            run.ledger.paused = True                        # what an edit keeps is its own
        with self._tracked(run):
            for edit in self.edits:
                told = edit.name, stop.path, stop.visit, run.index
                if stop.path in edit.modules and told not in self.lending.told:
                    edit.seen(stop.path, stop.inputs, hidden, mask if fits else None)
                    self.lending.told.add(told)
        if run.ledger:
            run.ledger.paused = False

    def _take(self, run: Run) -> None:
        """In the place of running a module: the intact output, or at its edit what that makes of it."""
        stop, edit = run.stop, run.edit
        assert stop is not None
        assert edit is not None
        shared = self.shared[run.index, stop.path, stop.visit]
        output = shared.output
        self.lending.lend(run.index, stop.path, (output, shared.written))
        hand_over(shared.written, stop.given)
        run.wrote = run.wrote or bool(shared.written)
        self.into(run)
        if stop.path in edit.modules:
            run.apart = True
            output = self._edited(run, stop, output)
        if self.keeper and run.depth == 1:
            if run.apart:
                self.keeper.behind(run, Stop("behind", stop.path, stop.visit, output=output))
            else:
                self.keeper.taken(run)
        self.hand(run, output)

    def _edited(self, run: Run, stop: Stop, output: Any) -> Any:
        assert run.edit is not None
        with self._tracked(run):
            made: Tensor = run.edit.apply(stop.path, stop.inputs, first_tensor(output))
        return with_first(output, made)

    def _must_run(self, path: str, edit: Edit) -> bool:
        """Whether something inside a module is edited, or tapped: what is replaced itself is not run to be tapped."""
        watched = () if path in edit.modules else self.watched
        return any(inner.startswith(f"{path}.") for inner in (*edit.modules, *watched))


def _all(families: Iterable[Kin]) -> list[Run]:
    return [run for family in families for run in family]


def _waits(run: Run, path: str, visit: int, kind: str) -> bool:
    return run.stop is not None and (run.stop.path, run.stop.visit, run.stop.kind) == (path, visit, kind)
