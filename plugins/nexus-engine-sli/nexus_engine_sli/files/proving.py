"""Whether what came by ranges has the content that the hub names: the SHA-256 of the whole file, although its ranges
come in the order of the layers.

A hash takes bytes in their order. So that of a file is as far as its ranges came without a gap; one that came sooner
stays on the disk until its turn, as long as nobody needs the room. What lies between tensors (header, padding) is
fetched for it. Where a range had to go before its turn, and where some tensors of a file are never needed, the file is
unproven: of its ranges it is known that the hub sent them for a file of this hash and size (`hub.ranges`), no more.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nexus_torch import hub

from .rolling_plan import Item

GAPS = 32 << 20
"""Bytes beside the wanted tensors that are fetched for the hash of a file: headers of GGUF files hold a vocabulary."""
BLOCK = 1 << 20


class Damaged(hub.HubError):
    """Weights were used that are not those of the checkpoint: what was computed with them is worth nothing."""


@dataclass
class Stretch:
    """Neighbouring bytes of a file: of one tensor, or of none that is wanted."""

    start: int
    stop: int
    item: Item | None = None
    """With which it comes."""
    key: str = ""
    hash: str = ""


class Proof:
    """The hash of one file, as far as it is."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self.stretches = stretches
        self.last = {each.item: at for at, each in enumerate(stretches) if each.item is not None}
        """The last stretch of each item."""
        item = next(iter(self.last))
        self.address, self.file, self.digest = item.address, item.file, item.file.digest()
        self.at, self.open, self.lock = 0, True, threading.Lock()
        self.proven, self.damaged = False, False

    @property
    def items(self) -> list[Item]:
        """All that the file comes in."""
        return list(self.last)

    def wants(self, item: Item) -> bool:
        """Whether an item's turn is still to come."""
        return self.open and self.last.get(item, -1) >= self.at

    def give_up(self) -> None:
        """It will never be known."""
        self.open = False

    def advance(self, here: Callable[[Item], bool]) -> None:
        """Takes what is here and next. Damaged where the file turns out to be another one."""
        with self.lock:
            while self.open:
                each = self.stretches[self.at]
                if each.item is not None and not here(each.item):
                    return
                own = hashlib.sha256()
                for block in _bytes(self.address, each):
                    self.digest.update(block)
                    own.update(block)
                each.hash, self.at = own.hexdigest(), self.at + 1
                if self.at == len(self.stretches):
                    self.open = False
                    self._conclude()

    def _conclude(self) -> None:
        self.proven = self.digest.hexdigest() == self.file.key
        self.damaged = not self.proven
        if self.damaged:
            raise Damaged(
                f"'{self.address}' came damaged: its content has not the hash {self.file.key[:12]}… that the hub "
                f"names. {self._which()} What was computed with it is not kept. Run it again, or set HF_ENDPOINT to "
                "another mirror."
            )

    def _which(self) -> str:
        """The tensors that come with other bytes when they are asked for once more; all, if none does."""
        parts = [each for each in self.stretches if each.item]
        wrong = [each.key for each in parts if self._again(each) != each.hash]
        keys = wrong or [each.key for each in parts]
        names = f"{', '.join(map(repr, keys[:3]))}{' …' if len(keys) > 3 else ''}"
        if wrong:
            return f"Other bytes than now came for {names}."
        return f"It has {len(keys)} tensors, of which it cannot be said which: {names}."

    def _again(self, each: Stretch) -> str:
        """The hash of what the hub sends now."""
        digest = hashlib.sha256()
        try:
            for block in hub.stream(self.address, each.start, each.stop):
                digest.update(block)
        except hub.HubError:                                # it cannot be told
            return each.hash
        return digest.hexdigest()


class Proofs:
    """The hashes of all files of which everything comes by ranges, but for little.

    `changed` guards items: who is at one has it in `users`.
    """

    def __init__(self, items: Sequence[Item], changed: threading.Condition) -> None:
        self.changed, self.arrived = changed, set[Item]()
        self.ranged = {str(item.address) for item in items if not item.whole}
        self.ranged -= {str(item.address) for item in items if item.whole}
        found = {name: [item for item in items if str(item.address) == name] for name in self.ranged}
        self.proofs = {name: proof for name, own in found.items() if (proof := _proof(own)) is not None}

    @property
    def unproven(self) -> list[str]:
        """Files whose ranges were not held against a hash."""
        return sorted(self.ranged - {name for name, proof in self.proofs.items() if proof.proven})

    def wants(self, item: Item) -> bool:
        """Whether a hash waits for an item."""
        proof = self.proofs.get(str(item.address))
        return proof is not None and proof.wants(item)

    def gone(self, item: Item, *, again: bool) -> None:
        """An item is not here any more, and comes again or not."""
        self.arrived.discard(item)
        if self.wants(item) and not again:
            self.proofs[str(item.address)].give_up()

    def came(self, item: Item) -> None:
        """An item is here: the hash of its file goes on. Damaged where the file is another one."""
        proof, used = self.proofs.get(str(item.address)), list[Item]()
        with self.changed:
            self.arrived.add(item)

        def here(other: Item) -> bool:
            with self.changed:
                if other in self.arrived and other not in used:
                    other.users += 1                        # so that nobody drops it
                    used.append(other)
                return other in self.arrived

        try:
            if proof is not None:
                proof.advance(here)
        finally:
            with self.changed:
                for other in used:
                    other.users -= 1

    def close(self) -> None:
        """Ranges of damaged files are not taken up again."""
        for proof in self.proofs.values():
            for item in proof.items if proof.damaged else ():
                item.path.unlink(missing_ok=True)


def _proof(items: Sequence[Item]) -> Proof | None:
    stretches = list(_stretches(items))
    gaps = sum(each.stop - each.start for each in stretches if each.item is None)
    return Proof(stretches) if items[0].file.key and gaps <= GAPS else None


def _stretches(items: Sequence[Item]) -> Iterator[Stretch]:
    """The whole file, in order."""
    at, tensors = 0, [(each, item) for item in items for each in item.tensors]
    for each, item in sorted(tensors, key=lambda pair: (pair[0].start, pair[0].stop)):
        if each.start > at:
            yield Stretch(at, each.start)
        if each.stop > at:
            yield Stretch(max(at, each.start), each.stop, item, each.key)
        at = max(at, each.stop)
    if at < items[0].file.size:
        yield Stretch(at, items[0].file.size)


def _bytes(address: hub.Address, each: Stretch) -> Iterator[bytes]:
    """Of an item from the disk, of a gap from the header that is kept, or from the hub."""
    if each.item is not None:
        with each.item.path.open("rb") as file:
            file.seek(each.item.offset(each.start))
            left = each.stop - each.start
            while left and (block := file.read(min(BLOCK, left))):
                left -= len(block)
                yield block
        return
    kept = hub.kept_head(address)
    head = kept.read_bytes()[: each.stop] if each.start == 0 and kept.is_file() else b""
    yield head
    yield from hub.stream(address, each.start + len(head), each.stop)
