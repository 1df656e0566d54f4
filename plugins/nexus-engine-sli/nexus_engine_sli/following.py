"""Edits: variants of every forward that ablate a module take the intact output until they reach it, and run on their
own from there. L ablations of L layers cost about L / 2 forwards, and a mean over the corpus is known when the first
variant needs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_specs import Batch, Edit, NexusError
from torch import Tensor

from .loading import Room
from .running import Hub, Run, Stop, end
from .taps import first_tensor, mask_of, with_first


@dataclass(frozen=True, slots=True)
class Shared:
    """An intact output that variants take over, and its version, since a model may write into it later."""

    output: Any
    version: int

    def taken(self, path: str) -> Any:
        """The output, untouched; NexusError if the model changed it in place."""
        if first_tensor(self.output)._version != self.version:
            raise NexusError(f"The model writes into the output of '{path}' after it is made: edits cannot share it.")
        return self.output


class EditHub(Hub):
    """Leads all runs through the model, intact and under every edit."""

    def __init__(
        self, room: Room, layers: Sequence[str], edits: Sequence[Edit], watched: Sequence[str] = ()
    ) -> None:
        super().__init__(room, layers)
        self.edits, self.watched = tuple(edits), tuple(watched)
        """`watched` are module paths that must really run, since something inside them is tapped."""
        edited = {path for edit in edits for path in edit.modules}
        self.units = sorted({*self.units, *edited})
        self.places = {path: self.places.get(path, -1) for path in self.units}
        self.waits = self.layers | frozenset(room.order)
        self.shared: dict[tuple[int, str, int], Shared] = {}
        self.passed: Counter[tuple[str, int]] = Counter()
        self.batches = 0

    def lead_all(self, batches: Sequence[Batch], forward: Callable[[Run], None]) -> None:
        """Runs `forward(run)` for every batch, intact and under every edit. Modules run: B x (L + L (L + 1) / 2 - L)
        for L ablations of L layers."""
        intact = [Run(forward, index, batch) for index, batch in enumerate(batches)]
        variants = [Run(forward, run.index, run.batch, edit) for edit in self.edits for run in intact]
        self.batches = len(intact)
        with self._stopping():
            try:
                for run in (*intact, *variants):
                    self.resume(run)
                while waiting := [run for run in intact if not run.dead]:
                    self._step(waiting, variants)
                self._follow(variants)
                if left := [run for run in variants if not run.dead]:
                    raise NexusError(f"The edit '{left[0].name}' waits for a module that not every batch passes.")
            finally:
                end((*intact, *variants))

    def _step(self, waiting: Sequence[Run], variants: Sequence[Run]) -> None:
        """All intact runs that wait in one place go one stop on; then whoever follows them."""
        if any(run.stop and run.stop.kind == "behind" for run in waiting):
            waiting = [run for run in waiting if run.stop and run.stop.kind == "behind"]
        path, visit, kind = self._next(waiting)
        if kind == "need":
            self.room.borrow(path)
        elif kind == "before" and path in self.waits:
            self.shared.clear()
            self.current = path
            self.room.enter(path)
        for run in waiting:
            if run.stop and (run.stop.path, run.stop.visit, run.stop.kind) == (path, visit, kind):
                self._intact(run, run.stop)
        self._follow(variants)

    def _intact(self, run: Run, stop: Stop) -> None:
        """An intact run enters a module, or leaves it and is looked at."""
        if stop.kind != "behind":
            self.passes += stop.kind == "before"
            self.resume(run, (True, None))
            return
        self.room.passed(stop.path, stop.output)
        hidden = first_tensor(stop.output)
        self.shared[run.index, stop.path, stop.visit] = Shared(stop.output, hidden._version)
        mask = mask_of(run.batch, stop.path)
        fits = mask is not None and mask.shape == hidden.shape[:2]
        for edit in self.edits:
            if stop.path in edit.modules:
                edit.seen(stop.path, stop.inputs, hidden, mask if fits else None)
        self.passed[stop.path, stop.visit] += 1
        self.resume(run, (False, stop.output))

    def _follow(self, variants: Sequence[Run]) -> None:
        """Every variant goes as far as it can."""
        for run in variants:
            while run.stop and (answer := self._answer(run, run.stop)):
                self.resume(run, answer)

    def _answer(self, run: Run, stop: Stop) -> tuple[bool, Any] | None:
        """What a variant gets at its stop: (run the module, output), or None to wait."""
        edit, key = run.edit, (run.index, stop.path, stop.visit)
        assert edit is not None
        if stop.kind == "need":
            self.room.borrow(stop.path)
            return True, None
        if stop.kind == "behind":                           # it ran the module itself: it was apart already
            return False, self._edited(stop, edit, stop.output) if stop.path in edit.modules else stop.output
        if stop.path in edit.modules and not run.apart:
            if self.passed[stop.path, stop.visit] < self.batches:
                return None
            run.apart = True
            return False, self._edited(stop, edit, self.shared[key].taken(stop.path))
        if not run.apart and not self._must_run(stop.path, edit):
            return (False, self.shared[key].taken(stop.path)) if key in self.shared else None
        if stop.path in self.waits and not self.passed[stop.path, stop.visit]:
            return None                                     # its weights may not be there yet
        self.passes += 1
        return True, None

    def _edited(self, stop: Stop, edit: Edit, output: Any) -> Any:
        made: Tensor = edit.apply(stop.path, stop.inputs, first_tensor(output))
        return with_first(output, made)

    def _must_run(self, path: str, edit: Edit) -> bool:
        return any(inner.startswith(f"{path}.") for inner in (*edit.modules, *self.watched))
