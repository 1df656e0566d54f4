"""What of a plan is on the disk, or on its way there: within a limit of bytes, and what goes where room is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

from .proving import Proofs
from .rolling_plan import Item


class Holding:
    """The items of a plan, and how far the model is. Whoever calls holds the lock that guards them."""

    def __init__(self, items: Sequence[Item], limit: int, proofs: Proofs) -> None:
        self.items, self.limit, self.proofs = items, limit, proofs
        self.pending = {number for item in items for number in item.uses}
        """Groups that are still to be read."""
        self.at, self.held, self.peak = -1, 0, 0
        """The group at which the model is; bytes that are here or sent for, and the most that were."""

    def reach(self, number: int) -> None:
        """The model is at a group: it passed those before it, and comes to those behind, again if this is another
        pass."""
        if number <= self.at:
            self.pending |= {each for item in self.items for each in item.uses if each >= number}
        self.at = number
        self.pending = {each for each in self.pending if each >= number}
        self.drop_idle()

    def take(self, item: Item) -> bool:
        """Room for an item; False where there is none."""
        if self.held + item.size > self.limit:
            return False
        self.held += item.size
        self.peak = max(self.peak, self.held)
        return True

    def ahead(self) -> Iterator[Item]:
        """What the model has not reached yet, the next first."""
        if self.at < 0:
            return
        later = [(min(item.uses & self.pending), item) for item in self.items if item.uses & self.pending]
        yield from (item for _, item in sorted(later, key=lambda pair: pair[0]))

    def make_room(self, most: int) -> None:
        """Drops what was fetched ahead, the farthest first, until no more than `most` bytes are held."""
        idle = [item for item in self.items if _idle(item)]
        for item in sorted(idle, key=lambda each: -min(each.uses & self.pending, default=1 << 60)):
            if self.held <= most:
                return
            self._drop(item)

    def drop_idle(self) -> None:
        """What was read for the last time goes, unless the hash of its file waits for it: for that is half the room."""
        over = [item for item in self.items if _idle(item) and not item.uses & self.pending]
        kept = sum(item.size for item in over if self.proofs.wants(item))
        for item in over:
            if not self.proofs.wants(item):
                self._drop(item)
            elif kept > self.limit // 2:
                kept -= item.size
                self._drop(item)

    def call_back(self) -> None:
        """What was sent for ahead of its use, and waits for a connection, does not come yet."""
        for item in filter(on_its_way, self.items):
            if item.coming is not None and item.coming.cancel():
                item.coming, self.held = None, self.held - item.size

    def take_up(self, folder: Path) -> None:
        """What an earlier process left: whole items are here; parts of others will be gone on with; the rest goes."""
        folder.mkdir(parents=True, exist_ok=True)
        known = {item.path.name: item for item in self.items}
        for path in folder.iterdir():
            item = known.get(path.name)
            if item is not None and path.stat().st_size == item.size and self.take(item):
                item.coming = Future()
                item.coming.set_result(None)
                self.proofs.arrived.add(item)
            elif path.name.removesuffix(".part") not in known or item is not None:
                path.unlink()

    def _drop(self, item: Item) -> None:
        item.path.unlink(missing_ok=True)
        item.coming, self.held = None, self.held - item.size
        self.proofs.gone(item, again=bool(item.uses & self.pending))


def on_its_way(item: Item) -> bool:
    """Whether an item comes that nobody waits for."""
    return not item.users and item.coming is not None and not item.coming.done()


def _idle(item: Item) -> bool:
    """Whether an item is here and nobody reads it."""
    return not item.users and item.coming is not None and item.coming.done()
