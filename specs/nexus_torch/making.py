"""Tensors that are made one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from torch import Tensor


class Making(Mapping[str, Tensor]):
    """Tensors by name, each made when it is asked for, and kept by whoever asked: a layer of which all weights are
    unpacked together takes several times what it takes in the end."""

    def __init__(self, names: Iterable[str], make: Callable[[str], Tensor]) -> None:
        self.names, self.make = dict.fromkeys(names), make

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            raise KeyError(name)
        return self.make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
