"""Layer-major running: every batch's own forward in a greenlet that stops at each layer, and a hub that lets all of
them through one layer before the next is loaded.

So every weight is read once per corpus, whatever the architecture, since no forward is rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import torch
from nexus_specs import NexusError
from torch import nn

from ..memory.allocating import give_back
from ..memory.tracking import Ledger, Tracker
from ..rooms.resident import Room
from .belongings import Belongings
from .forwards import Run, Stop, end, put_back, stopping, thread_state
from .passages import Passages, entering


class Keeper(Protocol):
    """Looks after forwards that wait: where their states are, and what of them survives a kill."""

    def before(self, run: Run, then: Run | None) -> None:
        """A forward goes on: its states must be in memory. `then` is the one after it."""

    def after(self, run: Run) -> None:
        """A forward waits again."""

    def ended(self, run: Run) -> None:
        """A forward is over."""

    def behind(self, run: Run, stop: Stop) -> None:
        """A unit gave an output."""

    def round(self, runs: Sequence[Run], unit: str, *, whole: bool = True) -> None:
        """All forwards wait, the first of them before the next unit. Not `whole`: some of them for what others were
        given, which is no state of theirs."""

    def all_here(self) -> bool:
        """Whether no state of any forward is away."""

    def failed(self) -> None:
        """Something raised; the forwards are not ended yet."""


class EditKeeper(Keeper, Protocol):
    """Looks after edited forwards too."""

    def taken(self, run: Run) -> None:
        """An edited forward took over what the intact one of its batch was given."""


class Hub:
    """Leads all runs through the model, without edits."""

    def __init__(
        self, room: Room, layers: Sequence[str], tracker: Tracker | None = None, keeper: Keeper | None = None
    ) -> None:
        self.room, self.layers = room, frozenset(layers)
        split = {layer for layer in layers if any(path.startswith(f"{layer}.") for path in room.order)}
        modules = {path for path in room.order if "#" not in path}
        self.units = sorted((self.layers - split) | modules)
        self.places = {path: at for at, path in enumerate(dict.fromkeys((*room.order, *layers)))}
        self.tracker, self.keeper = tracker, keeper
        self.belongings, self.passages = Belongings(), Passages(room.order)
        self.back: Callable[[Hub, Sequence[Run]], None] | None = None
        """Takes forwards that have just started (a batch, intact and edited) to where they were when a process was
        killed."""
        self.current = ""
        self.passes = 0
        """Layers run, for those who check the theory: B x L."""

    def lead(self, runs: Iterable[Run]) -> None:
        """Starts the forwards one after the other, then takes all of them from unit to unit to their end."""
        started: list[Run] = []
        with self._stopping(), self.ending(started):
            for run in runs:
                started.append(run)
                self.start(run)
                self._settle(run)
            while waiting := [run for run in started if not run.dead]:
                self._round(waiting)

    @contextmanager
    def ending(self, started: Sequence[Run]) -> Iterator[None]:
        """Ends forwards that still wait, when this does; where something raised, what can be kept is kept before."""
        try:
            yield
        except (NexusError, OSError, KeyboardInterrupt):
            if self.keeper:
                self.keeper.failed()
            raise
        finally:
            end(started)

    def start(self, run: Run) -> None:
        """To its first stop."""
        if self.tracker:
            run.ledger = Ledger(self.tracker.owners)
            run.ledger.inputs(run.batch.values())
        self.resume(run)
        if self.back:
            self.back(self, (run,))

    def resume(self, run: Run, answer: Any = None) -> None:
        """Until the forward stops again, or ends."""
        own, entered = thread_state(), run.stop if entering(run) else None
        untracked = entered is not None and self._untracked(entered)
        if run.stop and run.stop.kind == "before":
            self.into(run)
        elif run.stop and run.stop.kind == "behind":
            run.depth -= 1
            self._turn(run)
        drawn = torch.get_rng_state()
        torch.set_rng_state(run.random)
        self.belongings.bring(run)
        with nullcontext() if untracked else self._tracked(run):
            found = run.switch() if run.stop is None else run.switch(answer)
        self.belongings.leave(run)
        if entered:
            noted = self.passages.name if untracked else self.passages.learn
            noted(run, entered, found, quiet=not self.belongings.noted)
        run.random = torch.get_rng_state()
        torch.set_rng_state(drawn)
        put_back(own)
        run.stop = None if run.dead else found

    def _untracked(self, entered: Stop) -> bool:
        """Whether the unit leaves nothing but its output, while all states are here."""
        return self.passages.untracked(entered) and (self.keeper is None or self.keeper.all_here())

    def into(self, run: Run) -> None:
        """The forward enters the module before which it waits."""
        self._turn(run)
        run.depth += 1

    def hand(self, run: Run, output: Any) -> None:
        """The forward leaves the module in which it is with an output, which nobody else holds then."""
        assert run.stop is not None
        run.stop = Stop("behind", run.stop.path, run.stop.visit)
        self.resume(run, (False, output))

    def _turn(self, run: Run) -> None:
        """Memory that is made between the outermost stops counts as one segment."""
        if run.ledger and run.depth == 0:
            run.ledger.turn()

    def _round(self, waiting: Sequence[Run]) -> None:
        """The unit that comes first is brought; all that wait for it pass."""
        path, visit, kind = self._next(waiting)
        if kind == "need":
            self.room.borrow(path)
        else:
            if path != self.current and self.keeper:
                self.keeper.round(waiting, path)
            self.current = path
            self.room.enter(path)
        here = [run for run in waiting if run.stop and _place(run.stop) == (path, visit, kind)]
        for run, then in zip(here, [*here[1:], None], strict=True):
            self._pass(run, then)

    def _next(self, waiting: Sequence[Run]) -> tuple[str, int, str]:
        """First who waits before the unit that is there, then who needs another one inside it, then the next unit."""
        stops = [run.stop for run in waiting if run.stop]
        at = min(stops, key=lambda stop: (self._urgency(stop), stop.visit, self.places[stop.path]))
        return _place(at)

    def _urgency(self, stop: Stop) -> int:
        return 1 if stop.kind == "need" else 0 if stop.path == self.current else 2

    def _pass(self, run: Run, then: Run | None) -> None:
        """Into the unit and on, until the forward waits for another one."""
        if self.keeper:
            self.keeper.before(run, then)
        if run.stop and run.stop.kind == "before":
            self.passes += run.stop.path in self.layers
        self.resume(run, (True, None))
        while run.stop is not None and run.stop.kind == "behind":
            self.room.passed(run.stop.path, run.stop.output)
            if self.keeper:
                self.keeper.behind(run, run.stop)
            self.hand(run, run.stop.output)
        self._settle(run)

    def _settle(self, run: Run) -> None:
        self._close(run)
        if self.keeper:
            self.keeper.after(run)

    def _close(self, run: Run) -> None:
        if run.dead and run.ledger:
            run.ledger.close()
            give_back()
            if self.keeper:
                self.keeper.ended(run)

    @contextmanager
    def _tracked(self, run: Run) -> Iterator[None]:
        if self.tracker is None:
            yield
            return
        self.tracker.ledger = run.ledger
        try:
            with self.tracker:
                yield
        finally:
            self.tracker.ledger = None

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """The forwards of all units wait for the hub while this lasts. Nothing is compiled: flex attention would be,
        and a compiler sees neither the hub nor the tracker."""
        eager = torch.compiler.set_stance("force_eager")
        with stopping(self.room.module, self.units), eager, self.belongings.noting():
            yield


def _place(stop: Stop) -> tuple[str, int, str]:
    return stop.path, stop.visit, stop.kind


def layer_paths(module: nn.Module, stacks: Sequence[Any]) -> list[str]:
    """The layers of a blueprint's stacks that the module really has."""
    known = {path for path, _ in module.named_modules()}
    return [path for stack in stacks for path in stack.layers if path in known]
