"""How the weights of a unit get from their files to where they run, ahead of time.

Where the processor that reads them runs them they stay in the buffer that they were read into: one unit runs, the next
one arrives. On a device they pass through page-locked memory and are copied on a stream of their own:

    disk        read 2 | read 3 | read 4 |
    copies             | copy 2 | copy 3 |
    device     compute 1        | compute 2 | compute 3

Two buffers on the host, two units on the device. Streams wait for events, no thread waits for the device but one that
would write into a buffer from which it still copies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..weights.unit import Unit
from .lanes import Lane, Stream


class Coming(Protocol):
    """Stored tensors on their way."""

    def tensors(self) -> dict[str, Tensor]:
        """By key; waits for them."""


Begin = Callable[[Unit], Coming]
"""Begins to read a unit."""
Make = Callable[[Unit, Mapping[str, Tensor]], dict[str, Tensor]]
"""Weights by full name, placed, of a unit's stored tensors."""


class Transport(Protocol):
    """Brings units; `take` may be asked for any, and is quick for those that were expected."""

    ahead: int
    """How many units should be expected at a time."""

    def expect(self, units: Sequence[Unit]) -> None:
        """What comes next, in order. Never blocks."""

    def take(self, unit: Unit) -> dict[str, Tensor]:
        """Weights by full name, ready for what runs next. Whoever takes them drops them before the next but one."""

    def settle(self) -> None:
        """Must be called before weights are dropped."""

    def forget(self, unit: Unit) -> None:
        """The unit is not needed after all."""

    def suspect(self, path: str) -> bool:
        """Whether weights of a unit may be other than finite, and so what it gives is looked at."""

    def close(self) -> None:
        """Waits for what is under way."""


class InPlace:
    """Weights run where they were read."""

    ahead = 1

    def __init__(self, begin: Begin, make: Make) -> None:
        self.begin, self.make = begin, make
        self.coming: tuple[str, Coming] | None = None

    def expect(self, units: Sequence[Unit]) -> None:
        """Begins to read the next one, if none waits: one that was guessed too early is needed later, and would be
        read twice. A group (of rows, of experts) that nobody asked for is dropped."""
        waits = self.coming[0] if self.coming else ""
        if units and (not waits or ("#" in waits and waits != units[0].path)):
            self.coming = units[0].path, self.begin(units[0])

    def take(self, unit: Unit) -> dict[str, Tensor]:
        """Waits for the reading threads."""
        coming = self.coming[1] if self.coming and self.coming[0] == unit.path else self.begin(unit)
        self.forget(unit)
        return self.make(unit, coming.tensors())

    def settle(self) -> None:
        """Memory goes with its last tensor."""

    def forget(self, unit: Unit) -> None:
        """What was read is dropped."""
        if self.coming and self.coming[0] == unit.path:
            self.coming = None

    def suspect(self, path: str) -> bool:
        """To look at outputs costs less than to look at weights."""
        return True

    def close(self) -> None:
        """Nothing waits."""
        self.coming = None


@dataclass(frozen=True)
class Moved:
    """Weights on the device, once the event `copied` has passed."""

    made: dict[str, Tensor]
    copied: Any
    sums: Tensor
    """On the host, likewise."""


class Copied:
    """Weights are copied to a device while others run there.

    One thread leads: it waits for what was read, sends the copies, and begins to read the next unit when the buffer of
    the one before is free. Memory on the device is taken on the stream of copies, which first waits for all that ran
    when the move was asked for; so weights may be dropped as soon as no move is under way (`settle`).
    """

    ahead = 2

    def __init__(self, begin: Begin, make: Make, lane: Lane) -> None:
        self.begin, self.make, self.lane = begin, make, lane
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="sli-copy")
        self.reading: dict[str, Future[Coming]] = {}
        self.moving: dict[str, Future[Moved]] = {}
        self.held: deque[tuple[Any, Mapping[str, Tensor]]] = deque()
        """Buffers from which is copied, and the events after which they are free."""
        self.taken: tuple[str, Moved] | None = None
        self.suspects: dict[str, bool] = {}

    def expect(self, units: Sequence[Unit]) -> None:
        """Moves the first one as soon as it was read, and begins to read the one after it. A group (of rows, of
        experts) that was expected before and that nobody asked for is dropped, once it is here."""
        paths = {unit.path for unit in units}
        for path in [each for each, move in self.moving.items() if _unasked(each, paths) and move.done()]:
            del self.moving[path]
        for path in [each for each in self.reading if _unasked(each, paths)]:
            del self.reading[path]
        if units and not self.moving:
            self._move(units[0])
        for unit in units[1:]:
            if not self.reading and unit.path not in self.moving:
                self.reading[unit.path] = self.pool.submit(self._read, unit)

    def take(self, unit: Unit) -> dict[str, Tensor]:
        """The stream that computes waits for the copies; this thread waits until they were sent."""
        if unit.path not in self.moving:
            self._move(unit)
        moved = self.moving.pop(unit.path).result()
        self.lane.wait(moved.copied)
        self.taken = unit.path, moved
        self.suspects.pop(unit.path, None)
        return moved.made

    def settle(self) -> None:
        """No memory is taken on the device until the next move is asked for."""
        self.taken = None
        wait(self.moving.values())

    def forget(self, unit: Unit) -> None:
        """What was read or moved is dropped."""
        self.reading.pop(unit.path, None)
        self.moving.pop(unit.path, None)

    def suspect(self, path: str) -> bool:
        """By the sums that came with the weights; waits for their copies the first time."""
        if self.taken and self.taken[0] == path and path not in self.suspects:
            moved = self.taken[1]
            moved.copied.synchronize()
            self.suspects[path] = not bool(torch.isfinite(moved.sums).all())
        return self.suspects.get(path, True)

    def close(self) -> None:
        """Nothing is copied any more when this returns."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        for copied, _ in self.held:
            copied.synchronize()
        self.held.clear()
        self.reading.clear()
        self.moving.clear()
        self.taken = None

    def _move(self, unit: Unit) -> None:
        reading = self.reading.pop(unit.path, None) or self.pool.submit(self._read, unit)
        self.moving[unit.path] = self.pool.submit(self._carry, unit, reading, self.lane.mark())

    def _read(self, unit: Unit) -> Coming:
        while len(self.held) > 1:
            self.held.popleft()[0].synchronize()
        return self.begin(unit)

    def _carry(self, unit: Unit, reading: Future[Coming], free: Any) -> Moved:
        raw = reading.result().tensors()
        with self.lane.copying(free):
            made = self.make(unit, raw)
            sums = self.lane.sums(made.values())
            copied = self.lane.copied()
        self.held.append((copied, raw))
        return Moved(made, copied, sums)


def transport(device: str, begin: Begin, make: Make) -> Transport:
    """How weights get to a device."""
    if torch.device(device).type == "cpu":
        return InPlace(begin, make)
    return Copied(begin, make, Stream(device))


def _unasked(path: str, expected: set[str]) -> bool:
    """Whether a group that waits is none of those that are expected now."""
    return bool(expected) and "#" in path and path not in expected
