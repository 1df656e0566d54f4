"""What a model writes into weights that are not there, done each time that they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn

Change = Callable[[Tensor], object]


class Changes:
    """By the name of a weight: the forward that changed it first, and how."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[object, list[Change]]] = {}

    def write(self, name: str, writer: object, change: Change) -> bool:
        """Remembers what the first forward does to a weight that is not there (RWKV rescales all its blocks before the
        first one runs). What every forward does cannot be told apart: False."""
        writers, changes = self.known.setdefault(name, (writer, []))
        if writers is not writer:
            return False
        changes.append(change)
        return True

    def apply(self, module: nn.Module, names: Iterable[str]) -> None:
        """To weights that have just come, in memory of their own: what is offloaded stays as it is stored."""
        for name in names if self.known else ():
            weight = module.get_parameter(name)
            if name in self.known:
                weight.data = weight.data.clone()
            for change in self.known.get(name, (None, []))[1]:
                change(weight.data)
