"""One forward of one batch in a greenlet, which stops before and behind each unit until a hub lets it go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import greenlet
import torch
from nexus_specs import Batch, Edit
from torch import Tensor, nn

from ..memory.tracking import Family, Ledger
from ..outputs.taps import any_tensor
from .writing import Containers, containers, copies, written


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a forward waits: before a module, behind it, or for the weights of a unit that something else uses."""

    kind: Literal["before", "behind", "need"]
    path: str
    visit: int = 0
    inputs: Any = None
    output: Any = None
    given: Containers = field(default_factory=dict)
    """Before a module, the containers that it is given; behind it, what is in those into which it wrote."""


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


def seeded() -> Tensor:
    """The state of a generator of random numbers at the seed that was set last: every forward begins with it, so that
    what it draws does not depend on what ran before."""
    return torch.Generator().manual_seed(torch.initial_seed()).get_state()


class Run(greenlet.greenlet):
    """One forward of one batch, intact or under an edit."""

    def __init__(self, forward: Callable[[Run], None], index: int, batch: Batch, edit: Edit | None = None) -> None:
        super().__init__(lambda: forward(self))
        self.index, self.batch, self.edit = index, batch, edit
        self.visits: Counter[str] = Counter()
        self.stop: Stop | None = None
        self.apart = False
        """Under its edit already; before, it takes over what the intact run of its batch gets."""
        self.depth = 0
        """Modules that stop it and in which it is."""
        self.ledger: Ledger | None = None
        self.random = seeded()
        """What it draws random numbers from: others under way draw theirs."""
        self.wrote = False
        """Its modules wrote into what others are given, or it took that over: no output tells it."""
        self.replaying = False
        """On the way back to where it was when a process was killed: what it computes is not real."""

    @property
    def name(self) -> str:
        """The edit's name, "" for an intact run."""
        return self.edit.name if self.edit else ""

    def module(self, path: str, native: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Called in place of a module's forward, inside the greenlet."""
        self.visits[path] += 1
        visit = self.visits[path]
        inputs = any_tensor((*args, *kwargs.values()))
        given = containers(args, kwargs)
        go, output = self.wait(Stop("before", path, visit, inputs, given=given))
        if not go:
            return output
        before = copies(given)
        output = native(*args, **kwargs)
        made = written(given, before)
        self.wrote = self.wrote or bool(made)
        return self.wait(Stop("behind", path, visit, inputs, output, made))[1]

    def need(self, path: str) -> None:
        """Waits for the weights of a unit that something outside it uses."""
        self.wait(Stop("need", path))

    def wait(self, stop: Stop) -> tuple[bool, Any]:
        """Suspends. What torch keeps by thread belongs to this forward and is put back when it goes on."""
        own = thread_state()
        answer: tuple[bool, Any] = self.parent.switch(stop)
        put_back(own)
        return answer


@contextmanager
def stopping(module: nn.Module, paths: Iterable[str]) -> Iterator[None]:
    """The forwards of some modules wait for a hub, if a run calls them, while this lasts. Those that a module has for
    itself (SqueezeBERT's layers) it has again afterwards."""
    modules = {path: module.get_submodule(path) for path in paths}
    own = {path: vars(each)["forward"] for path, each in modules.items() if "forward" in vars(each)}
    for path, each in modules.items():
        each.forward = _stopping_forward(path, each.forward)
    try:
        yield
    finally:
        for path, each in modules.items():
            del each.forward
            if path in own:
                each.forward = own[path]


def family_of(run: Run) -> Family:
    """The forwards that stand on each other's memory."""
    assert run.ledger is not None
    return run.ledger.family


def end(runs: Iterable[Run]) -> None:
    """Ends forwards that still wait."""
    for run in runs:
        if run and not run.dead:
            run.throw(greenlet.GreenletExit)
        if run.ledger:
            run.ledger.close()


def _stopping_forward(path: str, native: Callable[..., Any]) -> Callable[..., Any]:
    def forward(*args: Any, **kwargs: Any) -> Any:
        run = greenlet.getcurrent()
        return run.module(path, native, args, kwargs) if isinstance(run, Run) else native(*args, **kwargs)

    return forward
