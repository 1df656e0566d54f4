"""What to fetch of a checkpoint that is larger than the disk, and when each of it may go."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from nexus_specs import Extent
from nexus_torch import hub

Place = tuple[str, int]
"""File and first byte of a stored tensor."""


@dataclass(eq=False)
class Item:
    """Something that is fetched and deleted at once: a whole file, or the ranges of it that one group needs."""

    path: Path
    address: hub.Address
    file: hub.File
    ranges: tuple[tuple[int, int], ...]
    whole: bool
    uses: set[int] = field(default_factory=set)
    """The groups that read it."""
    users: int = 0
    """Readings that are under way."""
    coming: Future[None] | None = None
    """None while it is not here."""
    tensors: tuple[Extent, ...] = ()
    """What lies in its ranges; of a whole file nobody asks."""

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(stop - start for start, stop in self.ranges)

    @property
    def first(self) -> int:
        """The first group that reads it."""
        return min(self.uses)

    def offset(self, byte: int) -> int:
        """Where a byte of the file on the hub lies in it."""
        before = 0
        for start, stop in self.ranges:
            if start <= byte < stop or byte == start:
                return before + byte - start
            before += stop - start
        raise AssertionError(f"byte {byte} of {self.address} is not in its ranges")


@dataclass(frozen=True)
class Plan:
    """All items, and where each stored tensor is to be found."""

    items: tuple[Item, ...]
    where: Mapping[Place, Item]
    peak: int
    """Bytes on the disk at most."""


def plan(groups: Sequence[Sequence[Extent]], folder: Path, limit: int, small: int) -> Plan:
    """Files whole where they fit together with what else is needed at the time; else, largest first, by the ranges of
    each group. What the first `small` groups need is fetched by ranges, and taken from there when the file comes."""
    remote = {text: address for text in dict.fromkeys(each.file for group in groups for each in group)
              if (address := hub.Address.parse(text)) is not None}  # fmt: skip
    early = {(each.file, each.start) for group in groups[:small] for each in group}
    ranged: set[str] = set()
    while True:
        items, where = _items(groups, folder, remote, ranged, early)
        peak, at = _peak(items, len(groups))
        live = [item for item in items if item.whole and item.first <= at <= max(item.uses)]
        if peak <= limit or not live:
            return Plan(tuple(items), where, peak)
        ranged.add(str(max(live, key=lambda item: item.size).address))


class _Draft:
    """Items as they are found, group by group."""

    def __init__(self, folder: Path, remote: Mapping[str, hub.Address], ranged: set[str], early: set[Place]) -> None:
        self.folder, self.remote, self.ranged, self.early = folder, remote, ranged, early
        self.wholes: dict[str, Item] = {}
        self.pieces: dict[tuple[str, int], list[Extent]] = defaultdict(list)
        self.owners: dict[Place, tuple[str, int]] = {}
        self.uses: dict[Place, set[int]] = defaultdict(set)

    def add(self, number: int, each: Extent) -> None:
        """One stored tensor that a group reads."""
        place = each.file, each.start
        if place in self.uses:
            self.uses[place].add(number)
            return
        self.uses[place].add(number)
        if each.file in self.ranged or place in self.early:
            self.pieces[each.file, number].append(each)
            self.owners[place] = each.file, number
        elif each.file not in self.wholes:
            self.wholes[each.file] = _whole(self.remote[each.file], self.folder)

    def items(self) -> tuple[list[Item], dict[Place, Item]]:
        """All of them in the order of their use, and where each stored tensor is."""
        pieces = {
            (text, number): _piece(self.remote[text], self.folder, extents)
            for (text, number), extents in self.pieces.items()
        }
        where: dict[Place, Item] = {}
        for place, numbers in self.uses.items():
            where[place] = pieces[self.owners[place]] if place in self.owners else self.wholes[place[0]]
            where[place].uses |= numbers
        for (text, _), piece in pieces.items():
            if text in self.wholes:                          # its bytes are not fetched again with the file
                piece.uses.add(self.wholes[text].first)
        found = [*self.wholes.values(), *pieces.values()]
        return sorted(found, key=lambda item: (item.first, str(item.address), item.ranges)), where


def _items(
    groups: Sequence[Sequence[Extent]],
    folder: Path,
    remote: Mapping[str, hub.Address],
    ranged: set[str],
    early: set[Place],
) -> tuple[list[Item], dict[Place, Item]]:
    draft = _Draft(folder, remote, ranged, early)
    for number, group in enumerate(groups):
        for each in group:
            if each.file in remote:
                draft.add(number, each)
    return draft.items()


def _whole(address: hub.Address, folder: Path) -> Item:
    file = hub.resolve(address.hub).files[address.file]
    return Item(folder / file.key, address, file, ((0, file.size),), whole=True)


def _piece(address: hub.Address, folder: Path, extents: Sequence[Extent]) -> Item:
    """Named by its ranges: a later process may divide the checkpoint otherwise, and must not take one for another."""
    file = hub.resolve(address.hub).files[address.file]
    ranges: list[tuple[int, int]] = []
    for start, stop in sorted({(each.start, each.stop) for each in extents}):
        if ranges and ranges[-1][1] == start:
            ranges[-1] = ranges[-1][0], stop
        else:
            ranges.append((start, stop))
    path = folder / f"{file.key}-{hashlib.sha256(repr(ranges).encode()).hexdigest()[:16]}"
    return Item(path, address, file, tuple(ranges), whole=False, tensors=tuple(extents))


def _peak(items: Sequence[Item], count: int) -> tuple[int, int]:
    """The most bytes at a time, and the group at which that is."""
    change = [0] * (count + 1)
    for item in items:
        change[item.first] += item.size
        change[max(item.uses) + 1] -= item.size
    held, most, at = 0, 0, 0
    for number, each in enumerate(change):
        held += each
        if held > most:
            most, at = held, number
    return most, at
