"""Stored tensors that are unpacked one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from torch import Tensor


class Unpacked:
    """Values of stored tensors, unpacked when they are asked for. What several weights are made of (`uses` names it as
    often) is kept until the last of them is."""

    def __init__(self, unpack: Callable[[str], Tensor], uses: Iterable[str]) -> None:
        self.unpack, self.left = unpack, Counter(uses)
        self.kept: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        found = self.kept.pop(name, None)
        found = self.unpack(name) if found is None else found
        self.left[name] -= 1
        if self.left[name] > 0:
            self.kept[name] = found
        return found
