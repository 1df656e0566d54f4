"""What comes after a unit: what came the last time, else the next one of the module."""

from __future__ import annotations

from collections.abc import Collection, Iterable


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

    def entered(self, path: str, behind: str) -> None:
        """A unit came behind another one ("": the first)."""
        if behind:
            if self.learnt.get(behind, path) != path:
                self.turning.add(behind)
            self.learnt[behind] = path

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
            path = known or self._next(path)
            done = not known and path in self.left          # a guess: towers may stand behind what they feed (Pi 0)
            if not path or done or path in there:
                break
            found.append(path)
        return found

    def _next(self, path: str) -> str:
        at = self.places[path] + 1
        return self.paths[at] if at < len(self.paths) else ""
