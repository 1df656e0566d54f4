"""A checkpoint larger than the disk: files come in the order of their use, are verified, read and deleted.

Every byte is fetched once in a pass. A connection that breaks is continued; what a killed process left in the folder
is used. What is held never takes more than the limit: an item is sent for only when all of it fits.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from nexus_specs import Extent, NexusError
from nexus_torch import hub

from .disk import Disk
from .holding import Holding, on_its_way
from .proving import Proofs
from .ranging import fetch
from .rolling_plan import Item, plan

SIDE_BY_SIDE = 4
"""Connections at a time."""


class Closing(Exception):
    """Nobody waits for the rest any more."""


class Rolling:
    """Kind of `Files` that fetches, keeps and deletes within a limit of bytes.

    `groups` are the extents that are read together, in order; the first `small` of them are read before the rest.
    `limit` is kept unless one group alone needs more, and then `most` is the limit. `follow`: the model is where it
    reads. `temporary`: the folder goes when it is closed.
    """

    def __init__(
        self, groups: Sequence[Sequence[Extent]], folder: Path, *, limit: int, most: int = 0, small: int = 0,
        follow: bool = False, temporary: bool = False, disk: Disk | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.groups = folder, [tuple(group) for group in groups]
        self.follow, self.temporary = follow, temporary
        self.plan = plan(self.groups, folder, limit, small)
        limit = max(limit, min(self.plan.peak, most))
        self._check(limit)
        self.numbers = {_name(group): number for number, group in enumerate(self.groups) if group}
        self.by_path = {str(item.path): item for item in self.plan.items}
        self.asked: list[Item] = []
        self.fetched, self.closing = 0, False
        self.changed = threading.Condition()
        self.pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="sli-fetch")
        self.proofs = Proofs(self.plan.items, self.changed)
        self.holding = Holding(self.plan.items, limit, self.proofs)
        self.disk = disk or Disk()
        self.disk.hold("files", limit)
        self.disk.give["files"] = self.shrink
        self.holding.take_up(folder)

    def place(self, extents: Sequence[Extent]) -> tuple[Extent, ...]:
        """In this folder; sends for what is not here."""
        if self.follow:
            self.reach(extents)
        found = []
        with self.changed:
            for item in self._items(extents):
                item.users += 1
                if item.coming is None and item not in self.asked:
                    self.asked.append(item)
            self._send()
        for each in extents:
            item = self.plan.where.get((each.file, each.start))
            if item is None:
                found.append(each)
                continue
            start = item.offset(each.start)
            found.append(replace(each, file=str(item.path), start=start, stop=start + each.stop - each.start))
        return tuple(found)

    def local(self, file: str) -> Path:
        """Waits until the item is whole and verified. NexusError where it cannot be had."""
        item = self.by_path.get(file)
        if item is None:
            return Path(file)
        with self.changed:
            while item.coming is None and not self.closing:
                self._send()
                self.changed.wait(0.5)
            coming = item.coming
        if coming is None:
            raise NexusError(f"'{item.address}' was not fetched: the teacher was closed.")
        coming.result()
        return item.path

    def done(self, extents: Sequence[Extent]) -> None:
        """Read; goes, unless a later group needs it."""
        with self.changed:
            self.holding.pending.discard(self.numbers.get(_name(extents), -1))
            for item in self._items(extents):
                item.users -= 1
            self.holding.drop_idle()
            self._send()

    def reach(self, extents: Sequence[Extent]) -> None:
        """The model is at this group: what comes after it is sent for, in order, as far as there is room."""
        number = self.numbers.get(_name(extents), -1)
        if number < 0:
            return
        with self.changed:
            self.holding.reach(number)
            self._send()

    @property
    def unproven(self) -> list[str]:
        """Files that came by ranges, and not as a whole in an order in which their hash could be known."""
        return self.proofs.unproven

    def shrink(self) -> None:
        """No more than the largest layer from now on: what came ahead of its use goes, and is fetched again."""
        with self.changed:
            holding, most = self.holding, self.plan.peak
            holding.limit = most
            holding.call_back()
            holding.make_room(most)
            while holding.held > most and any(map(on_its_way, self.plan.items)):
                self.changed.wait(0.02)                      # what has begun to come can go once it is here
                holding.make_room(most)
            self.disk.hold("files", max(most, holding.held))

    def close(self) -> None:
        """Stops fetching. What is here stays in the folder, for who goes on after a pause or a kill."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.proofs.close()
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _check(self, limit: int) -> None:
        """Before the first byte: whether one group after the other can be held at all."""
        if self.plan.peak > limit:
            raise NexusError(
                f"One layer of this checkpoint needs {hub.sized(self.plan.peak)} of disk at a time, and "
                f"{hub.sized(limit)} may be used. Raise run.disk in the registry, or --disk."
            )
        here = sum(each.stat().st_size for each in self.folder.glob("*")) if self.folder.is_dir() else 0
        hub.check_room(self.folder, self.plan.peak - here, "The largest layer of the checkpoint")

    def _items(self, extents: Iterable[Extent]) -> list[Item]:
        found = (self.plan.where.get((each.file, each.start)) for each in extents)
        return list(dict.fromkeys(item for item in found if item is not None))

    def _send(self) -> None:
        """Sends for what was asked for, then for what comes next, strictly in order: so that what is ahead never takes
        the room of what is needed now."""
        self.asked = [item for item in self.asked if item.coming is None and item.users]
        for item in [*self.asked, *(() if self.closing else self.holding.ahead())]:
            if item.coming is not None:
                continue
            if item in self.asked:
                self.holding.make_room(self.holding.limit - item.size)
            if not self.holding.take(item):
                break
            item.coming = self.pool.submit(self._fetch, item)
        self.changed.notify_all()

    def _fetch(self, item: Item) -> None:
        if item.whole:
            hub.download(item.address, item.file, item.path, self._came, self._known(item))
        else:
            fetch(item, self._came)
            self.proofs.came(item)
        with self.changed:
            self.holding.drop_idle()
            self.changed.notify_all()

    def _known(self, item: Item) -> list[hub.Known]:
        """Ranges of a file that came before the file did."""
        found = []
        with self.changed:
            for other in self.plan.items:
                if not other.whole and other.address == item.address and other.coming and other.coming.done():
                    for start, stop in other.ranges:
                        found.append(hub.Known(start, stop, other.path, other.offset(start)))
        return found

    def _came(self, size: int) -> None:
        with self.changed:
            self.fetched += size
            if self.closing:
                raise Closing


def _name(extents: Sequence[Extent]) -> tuple[object, ...]:
    """A group's name: its first and last place, and how many there are."""
    if not extents:
        return ()
    return extents[0].file, extents[0].start, extents[-1].file, extents[-1].start, len(extents)
