"""Tensors that are made one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor


class Making(Mapping[str, Tensor]):
    """Tensors by name, each made when it is asked for, and kept by whoever asked: a layer of which all weights are
    unpacked together takes several times what it takes in the end."""

    def __init__(
        self, names: Iterable[str], make: Callable[[str], Tensor],
        narrow: Callable[[str, torch.dtype], Tensor] | None = None,
    ) -> None:  # fmt: skip
        """`narrow` makes one for somebody who wants it in a dtype: large ones without all of it in another."""
        self.names, self.make, self.narrow = dict.fromkeys(names), make, narrow

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            raise KeyError(name)
        return self.make(name)

    def of(self, name: str, dtype: torch.dtype) -> Tensor:
        """One that its asker will have in a dtype; it may come in another."""
        return self[name] if self.narrow is None or name not in self.names else self.narrow(name, dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
