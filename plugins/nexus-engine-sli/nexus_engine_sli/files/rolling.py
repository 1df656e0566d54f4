"""A checkpoint larger than the disk: files come in the order of their use, are verified, read and deleted.

Every byte is fetched once in a pass. A connection that breaks is continued; what a killed process left in the folder
is used. What is held never takes more than the limit: an item is sent for only when all of it fits.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from nexus_specs import Extent, NexusError
from nexus_torch import hub

from .disk import Disk
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
        self.limit = max(limit, min(self.plan.peak, most))
        self._check()
        self.numbers = {_name(group): number for number, group in enumerate(self.groups) if group}
        self.by_path = {str(item.path): item for item in self.plan.items}
        self.pending = {number for item in self.plan.items for number in item.uses}
        self.asked: list[Item] = []
        self.at, self.held, self.peak, self.fetched, self.closing = -1, 0, 0, 0, False
        self.changed = threading.Condition()
        self.pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="sli-fetch")
        self.proofs = Proofs(self.plan.items, self.changed)
        self.disk = disk or Disk()
        self.disk.hold("files", self.limit)
        self.disk.give["files"] = self.shrink
        self._take_up()

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
            self.pending.discard(self.numbers.get(_name(extents), -1))
            for item in self._items(extents):
                item.users -= 1
            self._drop_idle()
            self._send()

    def reach(self, extents: Sequence[Extent]) -> None:
        """The model is at this group: what comes after it is sent for, in order, as far as there is room."""
        number = self.numbers.get(_name(extents), -1)
        if number < 0:
            return
        with self.changed:
            if number <= self.at:                            # another pass
                self.pending |= {each for item in self.plan.items for each in item.uses if each >= number}
            self.at = number
            self.pending = {each for each in self.pending if each >= number}
            self._drop_idle()
            self._send()

    @property
    def unproven(self) -> list[str]:
        """Files that came by ranges, and not as a whole in an order in which their hash could be known."""
        return self.proofs.unproven

    def shrink(self) -> None:
        """No more than the largest layer from now on: what came ahead of its use goes, and is fetched again."""
        with self.changed:
            self.limit = self.plan.peak
            self._call_back()
            self._make_room(self.limit)
            while self.held > self.limit and any(map(_on_its_way, self.plan.items)):
                self.changed.wait(0.02)                      # what has begun to come can go once it is here
                self._make_room(self.limit)
            self.disk.hold("files", max(self.limit, self.held))

    def close(self) -> None:
        """Stops fetching. What is here stays in the folder, for who goes on after a pause or a kill."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.proofs.close()
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _check(self) -> None:
        """Before the first byte: whether one group after the other can be held at all."""
        if self.plan.peak > self.limit:
            raise NexusError(
                f"One layer of this checkpoint needs {hub.sized(self.plan.peak)} of disk at a time, and "
                f"{hub.sized(self.limit)} may be used. Raise run.disk in the registry, or --disk."
            )
        here = sum(each.stat().st_size for each in self.folder.glob("*")) if self.folder.is_dir() else 0
        hub.check_room(self.folder, self.plan.peak - here, "The largest layer of the checkpoint")

    def _take_up(self) -> None:
        """What an earlier process left: whole items are here; parts of others will be gone on with; the rest goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        known = {item.path.name: item for item in self.plan.items}
        for path in self.folder.iterdir():
            item = known.get(path.name)
            if item is not None and path.stat().st_size == item.size and self.held + item.size <= self.limit:
                item.coming = Future()
                item.coming.set_result(None)
                self.proofs.arrived.add(item)
                self.held += item.size
            elif path.name.removesuffix(".part") not in known or item is not None:
                path.unlink()
        self.peak = self.held

    def _items(self, extents: Iterable[Extent]) -> list[Item]:
        found = (self.plan.where.get((each.file, each.start)) for each in extents)
        return list(dict.fromkeys(item for item in found if item is not None))

    def _send(self) -> None:
        """Sends for what was asked for, then for what comes next, strictly in order: so that what is ahead never takes
        the room of what is needed now."""
        self.asked = [item for item in self.asked if item.coming is None and item.users]
        for item in [*self.asked, *self._ahead()]:
            if item.coming is not None:
                continue
            if item in self.asked:
                self._make_room(self.limit - item.size)
            if self.held + item.size > self.limit:
                break
            self.held += item.size
            self.peak = max(self.peak, self.held)
            item.coming = self.pool.submit(self._fetch, item)
        self.changed.notify_all()

    def _ahead(self) -> Iterator[Item]:
        """What the model has not reached yet, the next first."""
        if self.at < 0 or self.closing:
            return
        later = [(min(item.uses & self.pending), item) for item in self.plan.items if item.uses & self.pending]
        yield from (item for _, item in sorted(later, key=lambda pair: pair[0]))

    def _make_room(self, most: int) -> None:
        """Drops what was fetched ahead, the farthest first, until no more than `most` bytes are held."""
        idle = [item for item in self.plan.items if _idle(item)]
        for item in sorted(idle, key=lambda each: -min(each.uses & self.pending, default=1 << 60)):
            if self.held <= most:
                return
            self._drop(item)

    def _call_back(self) -> None:
        """What was sent for ahead of its use, and waits for a connection, does not come yet."""
        for item in filter(_on_its_way, self.plan.items):
            if item.coming is not None and item.coming.cancel():
                item.coming, self.held = None, self.held - item.size

    def _drop_idle(self) -> None:
        """What was read for the last time goes, unless the hash of its file waits for it: for that is half the room."""
        over = [item for item in self.plan.items if _idle(item) and not item.uses & self.pending]
        kept = sum(item.size for item in over if self.proofs.wants(item))
        for item in over:
            if not self.proofs.wants(item):
                self._drop(item)
            elif kept > self.limit // 2:
                kept -= item.size
                self._drop(item)

    def _drop(self, item: Item) -> None:
        item.path.unlink(missing_ok=True)
        item.coming, self.held = None, self.held - item.size
        self.proofs.gone(item, again=bool(item.uses & self.pending))

    def _fetch(self, item: Item) -> None:
        if item.whole:
            hub.download(item.address, item.file, item.path, self._came, self._known(item))
        else:
            fetch(item, self._came)
            self.proofs.came(item)
        with self.changed:
            self._drop_idle()
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


def _idle(item: Item) -> bool:
    """Whether an item is here and nobody reads it."""
    return not item.users and item.coming is not None and item.coming.done()


def _on_its_way(item: Item) -> bool:
    """Whether an item comes that nobody waits for."""
    return not item.users and item.coming is not None and not item.coming.done()


def _name(extents: Sequence[Extent]) -> tuple[object, ...]:
    """A group's name: its first and last place, and how many there are."""
    if not extents:
        return ()
    return extents[0].file, extents[0].start, extents[-1].file, extents[-1].start, len(extents)
