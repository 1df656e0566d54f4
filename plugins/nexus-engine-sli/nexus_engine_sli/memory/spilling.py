"""States of waiting forwards: in memory up to a limit, beyond it in a file.

What is spilled is the storage, emptied in place, so that every frame and container that refers to it is served when it
comes back. The forwards pass a layer in a fixed order again and again; in a cycle the best to put away is what was
used last, so the first ones stay in memory for good and the rest go to the disk and back, one ahead of its turn.
"""

from __future__ import annotations

import ctypes
import errno
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from nexus_specs import NexusError

from ..files.disk import Disk
from .tracking import Family, Ledger, Number

SMALL = 4 << 10
"""Bytes below which a storage is not worth moving."""
FILE = "states.spill"
Live = tuple[Ledger, Number, torch.UntypedStorage]


def memory_of(storage: torch.UntypedStorage) -> memoryview:
    """The bytes of a storage. Never through numpy, which would forbid to resize it."""
    size = storage.nbytes()
    return memoryview((ctypes.c_char * size).from_address(storage.data_ptr())).cast("B")


class Spill:
    """Holds at most `limit` bytes of states in memory (0: all), and the rest within what `disk` leaves them."""

    def __init__(self, limit: int, folder: Path, disk: Disk | None = None) -> None:
        self.limit, self.folder, self.disk = limit, folder, disk or Disk()
        self.held: dict[Family, int] = {}
        self.away: dict[Family, Away] = {}
        self.total, self.most, self.end = 0, 0, 0
        self.written = 0
        """Bytes that went to the file, for those who measure."""
        self.file = -1
        self.free: list[tuple[int, int]] = []
        """(start, length) of places in the file that nobody uses, in order, none beside another."""
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="sli-spill")

    def settle(self, family: Family) -> None:
        """Forwards wait again: their states stay, or go to the file."""
        self.total -= self.held.pop(family, 0)
        live = [each for each in family.live() if each[1] not in each[0].shared]
        size = sum(storage.nbytes() for *_, storage in live)
        self.most = max(self.most, self.total + size)
        if not live:
            return
        if not self.limit or self.total + size <= self.limit:
            self.held[family], self.total = size, self.total + size
            return
        moved = [each for each in live if each[2].nbytes() >= SMALL and each[2].resizable()]
        if moved:
            self._put_away(family, moved)

    def bring(self, family: Family) -> None:
        """Forwards go on: their states are in memory when this returns."""
        away = self.away.pop(family, None)
        if away is None:
            return
        away.written.result()
        (away.read or self.pool.submit(self._read, away)).result()
        family.fetch = None
        self._leave(away.start, away.room)

    def expect(self, family: Family) -> None:
        """Forwards will be the next but one: their states may come already."""
        away = self.away.get(family)
        if away is not None and away.read is None:
            away.read = self.pool.submit(self._read, away)

    def close(self) -> None:
        """Removes the file."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.disk.hold("spilled", 0)
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def _put_away(self, family: Family, live: list[Live]) -> None:
        size = sum(storage.nbytes() for *_, storage in live)
        start, room = self._place(size)
        away = Away(start, room, [(ledger, number, storage.nbytes()) for ledger, number, storage in live])
        away.written = self.pool.submit(self._write, away, [storage for *_, storage in live])
        self.away[family] = away
        family.fetch = lambda: self.bring(family)

    def _place(self, size: int) -> tuple[int, int]:
        """Room in the file, which is allocated before it is written to, so that a full disk is found in time."""
        for at, (start, room) in enumerate(self.free):
            if room >= size:
                self.free[at : at + 1] = [(start + size, room - size)] if room > size else []
                return start, size
        start = self.end
        if self.free and sum(self.free[-1]) == self.end:    # it grows from there
            start, _ = self.free.pop()
        self._grow(start + size - self.end)
        return start, size

    def _leave(self, start: int, room: int) -> None:
        """A place is free: states grow when the first layer has passed, and take several that they left."""
        merged: list[tuple[int, int]] = []
        for each in sorted([*self.free, (start, room)]):
            if merged and sum(merged[-1]) == each[0]:
                merged[-1] = merged[-1][0], merged[-1][1] + each[1]
            else:
                merged.append(each)
        self.free = merged

    def _grow(self, size: int) -> None:
        """So many bytes more. NexusError where the budget or the disk has none."""
        if self.file < 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file = os.open(self.folder / FILE, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            (self.folder / FILE).unlink()                   # it goes with the process, however that ends
        if not self.disk.spill(size):
            raise NexusError(
                f"The states of the corpus take more than the {self.disk.total:,} bytes of disk that may be used (now "
                f"{self.disk.shares()}) beside {self.limit:,} bytes of memory. Raise run.disk or run.memory, or use "
                "fewer samples."
            )
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self.file, self.end, size)
        except OSError as error:
            raise _full(self.folder, error) from error
        self.end += size

    def _write(self, away: Away, storages: list[torch.UntypedStorage]) -> None:
        at = away.start
        for storage in storages:
            here = storage if on_host(storage) else storage.cpu()
            view, done = memory_of(here), 0
            while done < len(view):
                try:
                    done += os.pwrite(self.file, view[done:], at + done)
                except OSError as error:
                    raise _full(self.folder, error) from error
            at += len(view)
            del view, here
            storage.resize_(0)
        self.written += at - away.start

    def _read(self, away: Away) -> None:
        at = away.start
        for ledger, number, size in away.sizes:
            if (storage := ledger.alive(number)) is not None:       # an output that nobody took over may be gone
                self._fill(storage, at, size)
            at += size

    def _fill(self, storage: torch.UntypedStorage, at: int, size: int) -> None:
        storage.resize_(size)
        here = storage if on_host(storage) else torch.UntypedStorage(size)
        view, done = memory_of(here), 0
        while done < size:
            got = os.preadv(self.file, [view[done:]], at + done)
            if got == 0:
                raise NexusError(f"The states in '{self.folder}' are cut off: something else wrote to the file.")
            done += got
        if here is not storage:
            storage.copy_(here)


class Away:
    """States that are in the file."""

    def __init__(self, start: int, room: int, sizes: list[tuple[Ledger, Number, int]]) -> None:
        self.start, self.room, self.sizes = start, room, sizes
        self.written: Future[None]
        self.read: Future[None] | None = None


def on_host(storage: torch.UntypedStorage) -> bool:
    """Whether a storage is in memory that this process reads. What is on a device goes through it: both ways are
    ordered by the stream on which the forwards run, since threads that choose none share it."""
    return storage.device.type == "cpu"


def _full(folder: Path, error: OSError) -> NexusError:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return NexusError(f"The states cannot be kept in '{folder}' ({error.strerror}). Check the disk.")
    return NexusError(
        f"The disk of '{folder}' is full: the states of the corpus do not fit beside it. What was extracted stays; "
        "free some room, choose another --run-dir, raise run.memory, or use fewer samples, and run it again."
    )
