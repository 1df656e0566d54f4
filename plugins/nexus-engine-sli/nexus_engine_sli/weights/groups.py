"""Weights that come in groups, one group of a weight in memory at a time: some experts of a layer, or some rows of a
table (an embedding, a head) that is too large for the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from .unit import Unit

Wait = Callable[[str], None]
"""Suspends a forward until the hub has brought a unit."""


class Groups:
    """Which units hold some of a weight, and what of it is here."""

    def __init__(self, units: Mapping[str, Unit], holders: Callable[[str], tuple[str, ...]]) -> None:
        self.holders = holders
        self.units: dict[str, list[Unit]] = {}
        """By each name of a weight (a tied one has several), in order."""
        self.here: dict[str, tuple[int, Tensor]] = {}
        """The first expert or row that is here, and theirs."""
        for unit in units.values():
            for name in unit.names if unit.count else ():
                for each in holders(name):
                    self.units.setdefault(each, []).append(unit)

    def of(self, name: str) -> tuple[Unit, ...]:
        """The units that hold some of a weight; none where it comes whole."""
        return tuple(self.units.get(name, ()))

    def take(self, unit: Unit, name: str, wait: Wait) -> Tensor:
        """What a unit holds of a weight. The next one takes its place, so it is to be used before anything waits."""
        if name not in self.here or self.here[name][0] != unit.first:
            wait(unit.path)
        return self.here[name][1]

    def expert(self, name: str, number: int, wait: Wait) -> Tensor | None:
        """The weight of one expert; None where it does not come in groups."""
        unit = next((each for each in self.of(name) if 0 <= number - each.first < each.count), None)
        return None if unit is None else self.take(unit, name, wait)[number - unit.first]

    def drop(self, unit: Unit) -> None:
        """Before another group of the same weights comes."""
        for name in unit.names:
            for each in self.holders(name):
                self.here.pop(each, None)

    def put(self, unit: Unit, made: Mapping[str, Tensor]) -> None:
        """A group came."""
        for name, tensor in made.items():
            for each in self.holders(name):
                self.here[each] = unit.first, tensor

    def clear(self) -> None:
        """All go."""
        self.here.clear()
