"""What comes after a unit: what came the last time, or in the layers before; else the next one of the module."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_NUMBER = re.compile(r"\d+")


class Order:
    """Units in the order in which their modules stand, and what was learnt of the order in which they run."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = list(paths)
        self.places = {path: at for at, path in enumerate(self.paths)}
        self.learnt: dict[str, str] = {}
        """Unit -> the one that came after it the last time."""
        self.turning = set[str]()
        """Units behind which came another one each time: what every layer of a stack passes through on its way."""
        self.left = set[str]()
        """Units that were there and went."""
        self.last = ""
        self.count, self.times = 0, dict[str, int]()
        """How many had come when a unit, or a group, came last."""
        self.alike: dict[str, set[str]] = {}
        """What came behind units whose paths differ in numbers alone: in each layer the same, as a rule."""

    def entered(self, path: str, behind: str) -> None:
        """A unit came behind another one ("": the first)."""
        if behind:
            if self.learnt.get(behind, path) != path:
                self.turning.add(behind)
            self.learnt[behind] = path

    def came(self, path: str) -> None:
        """A unit, or a group of experts or rows, came behind the one that came before."""
        if self.last:
            self.alike.setdefault(_kind(self.last), set()).add(_kind(path))
        self.last = path
        self.count += 1
        self.times[path] = self.count

    def until(self, path: str) -> list[str]:
        """The units that stand before one."""
        return self.paths[: self.places.get(path, len(self.paths))]

    def following(self, path: str, count: int, there: Collection[str]) -> list[str]:
        """At most so many units that probably come next; none that is there, and none after it.

        >>> order = Order(("a", "b", "c")); order.following("a", 2, ()), order.following("a", 2, ("c",))
        (['b', 'c'], ['b'])
        >>> order.entered("b", "a"); order.entered("a", "b"); order.following("a", 1, ())       # a loop
        ['b']
        >>> order.entered("c", "a"); order.following("a", 1, ()), order.following("b", 1, ())   # b, then c: no more
        ([], ['a'])
        """
        found: list[str] = []
        while len(found) < count:
            known = self.learnt.get(path)
            if known and path in self.turning:              # then what stands behind the one of the last time
                known, path = None, known
            path = known or self._as_before(path) or self._next(path)
            done = not known and path in self.left          # a guess: towers may stand behind what they feed (Pi 0)
            if not path or done or path in there:
                break
            found.append(path)
        return found

    def _as_before(self, path: str) -> str:
        """What stands to a unit as what came behind its like; "" where that is not known. What has not come yet, or not
        for the longest time: experts may run before what is beside them (Llama 4).

        >>> order = Order(("0.mlp#0", "0.gate", "1.mlp#0", "1.gate")); order.following("0.gate", 1, ())
        []
        >>> order.came("0.gate"); order.came("0.mlp#0"); order.following("1.gate", 1, ())
        ['1.mlp#0']
        >>> order = Order(("0.mlp#0", "0.shared", "1.mlp#0", "1.shared", "2.mlp#0", "2.shared", "head"))
        >>> for path in order.paths[:4]: order.came(path)
        >>> order.following("1.shared", 1, ())
        ['2.mlp#0']
        >>> for path in order.paths[4:6]: order.came(path)
        >>> order.following("2.shared", 1, ())
        ['head']
        """
        behind = self.alike.get(_kind(path), set())
        if len(behind) != 1 or _kind(path) in behind:       # groups are behind their like
            return ""
        like = [each for each in self.paths if _kind(each) in behind and each not in self.left and each != path]
        found = max(like, key=lambda each: (-self.times.get(each, 0), _common(each, path)), default="")
        return self._next(path) or found if found in self.times else found      # behind the last layer comes a head

    def _next(self, path: str) -> str:
        """The one that stands behind it. Not the first experts or rows of another module, which may run later: they are
        many, and would be read once more."""
        at = self.places[path] + 1
        found = self.paths[at] if at < len(self.paths) else ""
        module, mark, _ = found.partition("#")
        return "" if mark and module != path.partition("#")[0] else found


def _kind(path: str) -> str:
    return _NUMBER.sub("0", path)


def _common(one: str, other: str) -> int:
    """How many modules around both are the same."""
    names = list(zip(one.split("."), other.split("."), strict=False))
    return next((at for at, (mine, its) in enumerate(names) if mine != its), len(names))
