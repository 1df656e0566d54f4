"""Stored tensors that are unpacked one at a time, and large ones some rows (or experts) at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor

from .dequantise import dequantise
from .plan import scales
from .rules import Recipe
from .source import Source
from .types import PLAIN
from .values import BY_ROWS

EXPERTS = "_exps."
"""In the names of tensors that hold all experts of a layer, along their first dimension."""
AT_ONCE = 1 << 22
"""Numbers of a weight that are made at a time, where it is made in pieces."""
ALL = slice(None)


class Unpacked:
    """Values of stored tensors, unpacked when they are asked for. What several weights are made of (`uses` names it as
    often) is kept until the last of them is."""

    def __init__(self, unpack: Callable[[str], Tensor], uses: Iterable[str]) -> None:
        self.unpack, self.left = unpack, Counter(uses)
        self.kept: dict[str, Tensor] = {}

    def last(self, name: str) -> bool:
        """Whether nothing but what is made now is made of a tensor, and nobody has it yet."""
        return name not in self.kept and self.left[name] <= 1

    def __getitem__(self, name: str) -> Tensor:
        found = self.kept.pop(name, None)
        found = self.unpack(name) if found is None else found
        self.left[name] -= 1
        if self.left[name] > 0:
            self.kept[name] = found
        return found


class Opened:
    """What the stored bytes of a part stand for."""

    def __init__(self, source: Source, plan: Mapping[str, Recipe], raw: Mapping[str, Any]) -> None:
        self.source, self.raw = source, raw
        self.factors = scales(source, plan, list(raw))

    def __call__(self, name: str, some: slice = ALL) -> Tensor:
        """A stored tensor's values, or those of some of its rows, times the factor that is stored beside it."""
        info, stored = self.source.places[name][1], self.raw[name]
        if some != ALL:
            stored = stored.reshape(-1, (info.stop - info.start) // info.shape[0])[some]
        found, factor = dequantise(info, stored), self.factors.get(name, "")
        if factor not in self.raw:
            return found
        by = dequantise(self.source.places[factor][1], self.raw[factor]).float()
        if by.numel() not in (1, self.count(name)):
            raise NexusError(
                f"'{self.source.path}': the factor of '{name}' {info.shape} has {by.numel()} numbers; allowed: one, or "
                f"{self.count(name)}. Fetch or convert the file again."
            )
        return found.float() * (by[some] if by.numel() > 1 else by).reshape(-1, *[1] * (found.ndim - 1))

    def count(self, name: str) -> int:
        """How many rows of a tensor's first dimension (its experts, if it holds any) are here."""
        info = self.source.places[name][1]
        return int(self.raw[name].numel()) * info.shape[0] // (info.stop - info.start)

    def size(self, name: str) -> int:
        """The numbers of one row, or expert."""
        return prod(self.source.places[name][1].shape[1:])

    def divides(self, recipe: Recipe, shape: Sequence[int]) -> bool:
        """Whether a weight of this shape may be made some rows at a time: experts, and what is packed and stays as it
        is stored, such as tables of words."""
        if all(EXPERTS in each for each in recipe.sources):
            return True
        info = self.source.places[recipe.sources[0]][1]
        return recipe.undo in BY_ROWS and info.kind not in PLAIN and tuple(shape[:1]) == info.shape[:1] != ()


def some_at_once(
    count: int, size: int, make: Callable[[slice], Tensor], dtype: torch.dtype | None = None
) -> Tensor:
    """All rows of a weight (experts of a layer), made of `size` numbers each, some at a time: beside the result, which
    is in `dtype` (in that in which they are made, if nobody names one), no more is there than these."""
    step = max(1, AT_ONCE // max(1, size))
    if step >= count:
        return make(ALL)
    made = make(slice(0, step))
    rows = made.shape[0] // step
    result = torch.empty((rows * count, *made.shape[1:]), dtype=dtype or made.dtype)
    result[: rows * step] = made
    del made                                                # its memory is the next ones'
    for first in range(step, count, step):
        result[rows * first : rows * (first + step)] = make(slice(first, first + step))
    return result
