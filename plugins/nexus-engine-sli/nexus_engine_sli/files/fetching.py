"""Files of weights that are on a hub: fetched into the shared cache where the disk holds them all, else file by file,
used and deleted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from nexus_specs import Budget, Extent
from nexus_torch import hub

from .disk import Disk
from .rolling import Closing, Rolling

ROLLING = 20_000_000_000
"""Bytes of the disk that a streamed checkpoint may take at a time, where nothing else is said."""
SIDE_BY_SIDE = 4
"""Files that are fetched at a time."""


class Files(Protocol):
    """Where files are: on this disk, or fetched when they are needed."""

    def place(self, extents: Sequence[Extent]) -> tuple[Extent, ...]:
        """The same tensors where they will lie on this disk. Sends for them, and never blocks."""

    def local(self, file: str) -> Path:
        """A file of a placed extent; waits until it is there."""

    def done(self, extents: Sequence[Extent]) -> None:
        """These extents (as they were before `place`) have been read."""

    def reach(self, extents: Sequence[Extent]) -> None:
        """The model is at these extents: what it passed may go, what comes next is sent for."""

    @property
    def unproven(self) -> Sequence[str]:
        """Files whose content was not held against the hash that the hub names."""

    def close(self) -> None:
        """Nothing more is needed."""


class Here:
    """Files that are on this disk."""

    unproven = ()
    """Nobody names a hash."""

    def place(self, extents: Sequence[Extent]) -> tuple[Extent, ...]:
        """As they are."""
        return tuple(extents)

    def local(self, file: str) -> Path:
        """The path itself."""
        return Path(file)

    def done(self, extents: Sequence[Extent]) -> None:
        """Nothing goes."""

    def reach(self, extents: Sequence[Extent]) -> None:
        """Nothing comes."""

    def close(self) -> None:
        """Nothing waits."""


class Cached:
    """Whole files, in the order of their first use, into the cache that all Hugging Face tools share; they stay there.
    HubError before the first byte where the disk does not hold them all."""

    unproven = ()
    """All are verified."""

    def __init__(self, groups: Sequence[Sequence[Extent]]) -> None:
        addresses = dict(_addresses(groups))
        first = next(iter(addresses.values()))
        hub.check_room(hub.snapshot_folder(first.hub), missing(groups), f"'{first.hub.name}'")
        self.pool, self.closing = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="sli-fetch"), False
        self.coming: dict[str, Future[Path]] = {}
        self.paths: dict[str, str] = {}
        for text, address in addresses.items():
            path = str(hub.snapshot_folder(address.hub) / address.file)
            self.paths[text] = path
            self.coming[path] = self.pool.submit(hub.fetch, hub.resolve(address.hub), address.file, self._watch)

    def place(self, extents: Sequence[Extent]) -> tuple[Extent, ...]:
        """In the cache's folder."""
        return tuple(replace(each, file=self.paths.get(each.file, each.file)) for each in extents)

    def local(self, file: str) -> Path:
        """Waits until it was fetched and verified."""
        return self.coming[file].result() if file in self.coming else Path(file)

    def done(self, extents: Sequence[Extent]) -> None:
        """The file stays."""

    def reach(self, extents: Sequence[Extent]) -> None:
        """All are sent for already."""

    def close(self) -> None:
        """What was not begun is not fetched any more; what came of the rest stays for who goes on."""
        self.closing = True
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _watch(self, _: int) -> None:
        if self.closing:
            raise Closing


def files_for(
    groups: Sequence[Sequence[Extent]], budget: Budget | None = None, *, resident: bool = False, small: int = 0,
    disk: Disk | None = None,
) -> Files:  # fmt: skip
    """The files of these groups of extents, which are read in this order. The first `small` of them are read before
    anything else, and are little.

    What is on this disk stays where it is. What is on a hub is fetched into the shared cache where it all fits (for a
    streamed model: into the budget), else rolling within the budget, of which a streamed model's states have half.
    """
    if not any(_addresses(groups)):
        return Here()
    wanted, budget = missing(groups), budget or Budget()
    disk = disk or Disk(budget.disk)
    limit = disk.total or ROLLING
    if not resident:
        limit = min(limit, ROLLING)
    if wanted <= limit and _fits(groups, wanted):
        disk.hold("files", wanted)
        return Cached(groups)
    if not resident and disk.total:
        limit = min(limit, disk.total // 2)
    own = budget.scratch == Path()
    folder = _own_folder(groups) if own else budget.scratch / "fetch"
    most = disk.total or ROLLING
    return Rolling(groups, folder, limit=limit, most=most, small=small, follow=resident, temporary=own, disk=disk)


def missing(groups: Sequence[Sequence[Extent]]) -> int:
    """Bytes of the files that are on a hub alone."""
    found = dict(_addresses(groups))
    return sum(hub.resolve(address.hub).files[address.file].size for address in found.values())


def _addresses(groups: Sequence[Sequence[Extent]]) -> Iterator[tuple[str, hub.Address]]:
    """Every file that is on a hub, in the order of its first use."""
    seen = dict.fromkeys(extent.file for group in groups for extent in group)
    for text in seen:
        address = hub.Address.parse(text)
        if address is not None:
            yield text, address


def _fits(groups: Sequence[Sequence[Extent]], wanted: int) -> bool:
    address = next(_addresses(groups))[1]
    try:
        hub.check_room(hub.snapshot_folder(address.hub), wanted, "")
    except hub.HubError:
        return False
    return True


def _own_folder(groups: Sequence[Sequence[Extent]]) -> Path:
    """A folder beside the shared cache: the system's own for temporary files may lie in memory."""
    cache = hub.snapshot_folder(next(_addresses(groups))[1].hub).parents[2]
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="nexus-fetch-", dir=cache))
