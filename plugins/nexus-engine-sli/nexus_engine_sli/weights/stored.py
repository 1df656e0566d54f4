"""Stored tensors by their names: which belong together, which are one expert's, and some rows of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nexus_specs import Extent

EXPERT = re.compile(r"^(?P<experts>.*\.experts)\.(?P<number>\d+)(?:\.|$)")


def stored(extents: Iterable[Extent]) -> int:
    """Bytes of some extents."""
    return sum(extent.stop - extent.start for extent in extents)


def stems(extents: Iterable[Extent], together: Mapping[str, str]) -> dict[str, list[Extent]]:
    """Tensors that belong together: of one module in the file, all experts of one list, and those of which a loader
    says so."""
    groups: dict[str, list[Extent]] = {}
    for extent in extents:
        found = EXPERT.match(extent.key)
        stem = found["experts"] if found else extent.key.rpartition(".")[0]
        groups.setdefault(together.get(stem, stem), []).append(extent)
    return groups


def one_expert(group: Sequence[Extent]) -> list[Extent]:
    """The tensors of the first expert alone: where one goes, all go."""
    numbers = {extent.key: found["number"] for extent in group if (found := EXPERT.match(extent.key))}
    first = next(iter(numbers.values()), "")
    return [extent for extent in group if numbers.get(extent.key, first) == first]


def by_expert(extents: Iterable[Extent]) -> tuple[dict[int, list[tuple[int, Extent]]], list[tuple[int, Extent]]]:
    """Stored tensors that belong to one expert, by its number, and those that hold something of all; with their
    places."""
    numbered: dict[int, list[tuple[int, Extent]]] = {}
    fused: list[tuple[int, Extent]] = []
    for at, extent in enumerate(extents):
        found = EXPERT.match(extent.key)
        (numbered.setdefault(int(found["number"]), []) if found else fused).append((at, extent))
    return numbered, fused


def some_rows(extent: Extent, first: int, count: int, total: int) -> Extent:
    """Some rows of a stored tensor that has one for each expert, or for each word; all of any other."""
    if not extent.shape or extent.shape[0] != total:
        return extent
    row = (extent.stop - extent.start) // total
    return replace(
        extent, start=extent.start + first * row, stop=extent.start + (first + count) * row,
        shape=(count, *extent.shape[1:]),
    )  # fmt: skip
