"""What several forwards of one batch hold: an output of the intact one that the others took over. A model that writes
into it afterwards (`hidden += shortcut(residual)`, where the shortcut is a unit of its own) would write once for each
of them. That is seen by the versions that torch keeps; the forwards then begin again, and from there on each of them
makes that output itself.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Callable

from torch import Tensor

from ..outputs.walking import tensors


class Rewritten(Exception):
    """A model wrote into an output that several forwards hold: what they computed since is worth nothing."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Lending:
    """Of one observation, however often its forwards begin. `again` is told when they do."""

    def __init__(self, again: Callable[[], None] = lambda: None) -> None:
        self.again = again
        self.own = set[str]()
        """Modules whose output every forward makes itself."""
        self.told = set[tuple[object, ...]]()
        """What edits have seen: they keep it, and are not told twice."""
        self.lent: dict[int, dict[int, tuple[weakref.ref[Tensor], int, str]]] = defaultdict(dict)
        """By batch, and by its identity, an output, its version when it was lent, and the module that gave it."""

    def lend(self, batch: int, path: str, output: object) -> None:
        """Another forward of a batch holds what a module gave the intact one."""
        assert path not in self.own
        for tensor in tensors(output):
            self.lent[batch][id(tensor)] = weakref.ref(tensor), tensor._version, path

    def check(self, batch: int) -> None:
        """After a forward of a batch went on. Rewritten where something that was lent is not what it was."""
        lent = self.lent.get(batch)
        for key, (found, version, path) in list(lent.items()) if lent else ():
            tensor = found()
            if tensor is None:
                del lent[key]  # type: ignore[union-attr]
            elif tensor._version != version:
                raise Rewritten(path)

    def whole(self, lead: Callable[[], None]) -> bool:
        """Whether forwards that are led came to their end; else they must begin again, and something is lent no more.
        """
        try:
            lead()
        except Rewritten as reason:
            self.own.add(reason.path)
            self.lent.clear()
            self.again()
            return False
        return True
