"""Layer-major running: every batch's own forward in a greenlet that stops at each layer, and a hub that lets all of
them through one layer before the next is loaded.

So every weight is read once per corpus, whatever the architecture, since no forward is rewritten. Variants that
ablate a module (`Edit`) take the intact output until they reach it, and run on their own from there: L ablations
of L layers cost about L/2 forwards, and a mean over the corpus is known when the first variant needs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import greenlet
import torch
from nexus_specs import Batch, Edit, NexusError
from torch import Tensor, nn

from .loading import Room
from .taps import first_tensor, mask_of, with_first


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a forward waits: before a module (`output` is None) or behind it."""

    path: str
    visit: int
    inputs: Any
    output: Any = None

    @property
    def before(self) -> bool:
        """Whether the module has not run yet."""
        return self.output is None


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


ThreadState = tuple[bool, bool, tuple[tuple[str, bool, torch.dtype], ...]]


def thread_state() -> ThreadState:
    """What torch keeps by thread: gradients on, autocast's cache on, autocast's state by kind of device."""
    kinds = tuple((kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda"))
    return torch.is_grad_enabled(), torch.is_autocast_cache_enabled(), kinds


def put_back(state: ThreadState) -> None:
    """Greenlets share a thread: whoever goes on brings the state with which it left."""
    torch.set_grad_enabled(state[0])
    torch.set_autocast_cache_enabled(state[1])
    for kind, enabled, dtype in state[2]:
        torch.set_autocast_enabled(kind, enabled)
        torch.set_autocast_dtype(kind, dtype)


class Run(greenlet.greenlet):
    """One forward of one batch, intact or under an edit."""

    def __init__(self, forward: Callable[[Run], None], index: int, batch: Batch, edit: Edit | None) -> None:
        super().__init__(lambda: forward(self))
        self.index, self.batch, self.edit = index, batch, edit
        self.visits: Counter[str] = Counter()
        self.stop: Stop | None = None
        self.apart = False

    @property
    def name(self) -> str:
        """The edit's name, "" for an intact run."""
        return self.edit.name if self.edit else ""

    def module(self, path: str, native: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Called in place of a module's forward, inside the greenlet."""
        self.visits[path] += 1
        inputs = first_tensor((*args, *kwargs.values()))
        go, output = self.wait(Stop(path, self.visits[path], inputs))
        if not go:
            return output
        output = native(*args, **kwargs)
        return self.wait(Stop(path, self.visits[path], inputs, output))[1]

    def wait(self, stop: Stop) -> tuple[bool, Any]:
        """Suspends. What torch keeps by thread belongs to this forward and is put back when it goes on."""
        own = thread_state()
        answer: tuple[bool, Any] = self.parent.switch(stop)
        put_back(own)
        return answer


class Hub:
    """Leads all runs through the model."""

    def __init__(
        self, room: Room, layers: Sequence[str], edits: Sequence[Edit], watched: Sequence[str] = ()
    ) -> None:
        self.room, self.layers, self.edits = room, frozenset(layers), tuple(edits)
        self.units = sorted(self.layers | {path for edit in edits for path in edit.modules})
        self.watched = tuple(watched)
        """Module paths that must really run, since something inside them is tapped."""
        self.shared: dict[tuple[int, str, int], Shared] = {}
        self.passed: Counter[tuple[str, int]] = Counter()
        self.passes = 0
        """Modules run, for those who check the theory: B x (L + L (L + 1) / 2 - L) for L ablations of L layers."""

    def lead(self, batches: Sequence[Batch], forward: Callable[[Run], None]) -> None:
        """Runs `forward(run)` for every batch, intact and under every edit."""
        intact = [Run(forward, index, batch, None) for index, batch in enumerate(batches)]
        variants = [Run(forward, run.index, run.batch, edit) for edit in self.edits for run in intact]
        with self._stopping():
            try:
                for run in (*intact, *variants):
                    self._resume(run)
                while leader := next((run for run in intact if not run.dead), None):
                    self._round(leader, intact, variants)
                self._follow(variants, len(intact))
                if left := [run for run in variants if not run.dead]:
                    raise NexusError(f"The edit '{left[0].name}' waits for a module that not every batch passes.")
            finally:
                for run in (*intact, *variants):
                    if not run.dead:
                        run.throw(greenlet.GreenletExit)

    def _round(self, leader: Run, intact: Sequence[Run], variants: Sequence[Run]) -> None:
        """All intact runs that wait where the leader waits go one stop on; then whoever follows them."""
        at = leader.stop
        assert at is not None
        if at.before and at.path in self.layers:
            self.shared.clear()
            self.room.enter(at.path)
        for run in intact:
            if run.stop and (run.stop.path, run.stop.visit, run.stop.before) == (at.path, at.visit, at.before):
                self._pass(run, run.stop)
        self._follow(variants, len(intact))

    def _pass(self, run: Run, stop: Stop) -> None:
        """An intact run enters a module, or leaves it and is looked at."""
        if stop.before:
            self.passes += 1
            self._resume(run, (True, None))
            return
        hidden = first_tensor(stop.output)
        if self.edits:
            self.shared[run.index, stop.path, stop.visit] = Shared(stop.output, hidden._version)
        mask = mask_of(run.batch)
        fits = mask is not None and mask.shape == hidden.shape[:2]
        for edit in self.edits:
            if stop.path in edit.modules:
                edit.seen(stop.path, stop.inputs, hidden, mask if fits else None)
        self.passed[stop.path, stop.visit] += 1
        self._resume(run, (False, stop.output))

    def _follow(self, variants: Sequence[Run], batches: int) -> None:
        """Every variant goes as far as it can."""
        for run in variants:
            while run.stop and (answer := self._answer(run, run.stop, batches)):
                self._resume(run, answer)

    def _answer(self, run: Run, stop: Stop, batches: int) -> tuple[bool, Any] | None:
        """What a variant gets at its stop: (run the module, output), or None to wait."""
        edit, key = run.edit, (run.index, stop.path, stop.visit)
        assert edit is not None
        if not stop.before:                                 # it ran the module itself: it was apart already
            return False, self._edited(stop, edit, stop.output) if stop.path in edit.modules else stop.output
        if stop.path in edit.modules and not run.apart:
            if self.passed[stop.path, stop.visit] < batches:
                return None
            run.apart = True
            return False, self._edited(stop, edit, self.shared[key].taken(stop.path))
        if not run.apart and not self._must_run(stop.path, edit):
            return (False, self.shared[key].taken(stop.path)) if key in self.shared else None
        if stop.path in self.layers and not self.passed[stop.path, stop.visit]:
            return None                                     # its weights may not be there yet
        self.passes += 1
        return True, None

    def _edited(self, stop: Stop, edit: Edit, output: Any) -> Any:
        made: Tensor = edit.apply(stop.path, stop.inputs, first_tensor(output))
        return with_first(output, made)

    def _must_run(self, path: str, edit: Edit) -> bool:
        return any(inner.startswith(f"{path}.") for inner in (*edit.modules, *self.watched))

    def _resume(self, run: Run, answer: Any = None) -> None:
        own = thread_state()
        found = run.switch() if run.stop is None else run.switch(answer)
        put_back(own)
        run.stop = None if run.dead else found

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """The forwards of all units wait for the hub while this lasts."""
        modules = {path: self.room.module.get_submodule(path) for path in self.units}
        for path, module in modules.items():
            module.forward = _stopping_forward(path, module.forward)
        try:
            yield
        finally:
            for module in modules.values():
                del module.forward


def _stopping_forward(path: str, native: Callable[..., Any]) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        run = greenlet.getcurrent()
        return run.module(path, native, args, kwargs) if isinstance(run, Run) else native(*args, **kwargs)

    return forward


def layer_paths(module: nn.Module, stacks: Sequence[Any]) -> list[str]:
    """The layers of a blueprint's stacks that the module really has."""
    known = {path for path, _ in module.named_modules()}
    return [path for stack in stacks for path in stack.layers if path in known]
