"""What forwards set on modules. A model may keep a tensor on a module between two calls of it (the frames before, in
the decoder of a film), and forwards that are under way together would find each other's.

What the module's class forgets again in some method (`del self.frames`, `self.frames = None`) is a forward's own: it is
taken off the module when the forward waits, and put back when it goes on. So is what several forwards set, from then
on. What only one sets (a table that all use) stays as it is.
"""

from __future__ import annotations

import dis
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FunctionType
from typing import Any

import greenlet
from torch import nn

Place = tuple[nn.Module, str]
"""A module and the name of an attribute."""


class Belongings:
    """The attributes of modules that are forwards' own, by forward."""

    def __init__(self) -> None:
        self.running: Any = None
        """The forward that goes on now."""
        self.setter: dict[Place, Any] = {}
        """Who set it last."""
        self.before: dict[Place, Any] = {}
        """What was there before any forward set what its class forgets again."""
        self.own: dict[Any, dict[Place, Any]] = {}
        self.noted = False
        """Whether the forward that goes on now has set anything."""

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Attributes that a forward sets are noted while this lasts, whatever the module."""
        _watch(self)
        try:
            yield
        finally:
            _let_go(self)

    def note(self, module: nn.Module, name: str) -> None:
        """Before a value changes: that of another forward is kept for it."""
        run, place = greenlet.getcurrent(), (module, name)
        if run is not self.running:                         # of another observation, or of none
            return
        self.noted = True
        last = self.setter.get(place)
        if last is None and forgets(type(module), name):
            self.before[place] = getattr(module, name, None)
        if place in self.before:
            self.own.setdefault(run, {})[place] = None
        elif last is not None and last is not run:
            if not last.dead:
                self.own.setdefault(last, {})[place] = getattr(module, name, None)
            self.own.setdefault(run, {})[place] = None
        self.setter[place] = run

    def bring(self, run: Any) -> None:
        """A forward goes on, and finds what it set."""
        self.noted, self.running = False, run
        for (module, name), value in self.own.get(run, {}).items():
            _put(module, name, value)
            self.setter[module, name] = run

    def leave(self, run: Any) -> None:
        """A forward waits, or is over: others find what was there before, or what was set last."""
        own, self.running = self.own.pop(run, {}), None
        for place in own:
            own[place] = getattr(*place, None)
            if place in self.before:
                _put(*place, self.before[place])
        if own and not run.dead:
            self.own[run] = own


@cache
def forgets(kind: type, name: str) -> bool:
    """Whether a method of a class, other than the one that makes it, deletes an attribute or sets it to None."""
    for each in kind.__mro__[: kind.__mro__.index(nn.Module)]:
        for method, function in vars(each).items():
            if isinstance(function, FunctionType) and method != "__init__" and _forgets(function, name):
                return True
    return False


def _forgets(function: FunctionType, name: str) -> bool:
    steps = [(each.opname, each.argval) for each in dis.get_instructions(function)]
    if ("DELETE_ATTR", name) in steps:
        return True
    stored = (at for at, step in enumerate(steps) if step == ("STORE_ATTR", name))
    return any(("LOAD_CONST", None) in steps[max(0, at - 2) : at] for at in stored)


_put: Callable[[nn.Module, str, Any], None] = nn.Module.__setattr__
_SETTERS = ("__setattr__", "register_buffer", "__delattr__")
_LOCK = threading.Lock()
_watching: list[Belongings] = []
"""Observations that are under way: several threads may each have one."""
_native: dict[str, Callable[..., None]] = {}


def _watch(belongings: Belongings) -> None:
    with _LOCK:
        for name in () if _watching else _SETTERS:
            _native[name] = getattr(nn.Module, name)
            setattr(nn.Module, name, _noting(_native[name]))
        _watching.append(belongings)


def _let_go(belongings: Belongings) -> None:
    with _LOCK:
        _watching.remove(belongings)
        for name in () if _watching else _SETTERS:
            setattr(nn.Module, name, _native[name])


def _noting(native: Callable[..., None]) -> Callable[..., None]:
    def changed(module: nn.Module, name: str, *args: Any, **kwargs: Any) -> None:
        for each in tuple(_watching):                       # another thread may end its own meanwhile
            each.note(module, name)
        native(module, name, *args, **kwargs)

    return changed
