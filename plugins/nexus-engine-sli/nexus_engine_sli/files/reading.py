"""Ranges of bytes to tensors: past the page cache, in large pieces, by threads, each byte once.

A checkpoint is read once and is larger than memory, so the page cache would only push other things out: `O_DIRECT`,
and where a file system has none, `posix_fadvise(DONTNEED)` behind the reading. No memory maps of files: one that
shrinks is a NexusError, never the end of the process, and one that was deleted gives its room back.
"""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from nexus_specs import Extent, NexusError
from nexus_torch.files import DTYPES
from torch import Tensor

from ..memory.buffers import PAGE, Buffers, Locked, rounded, tensor_in
from .fetching import Files, Here
from .past_cache import DIRECT, Opened, Stamp, stamp

CHUNK, THREADS = 16 << 20, 2
GAP = 64 << 10
"""Bytes between two tensors that are read along rather than skipped."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a file that is read at once, and where it goes in the buffer."""

    file: str
    start: int
    stop: int
    offset: int
    direct: bool

    def holds(self, extent: Extent) -> bool:
        """Whether the extent lies in it."""
        return self.file == extent.file and self.start <= extent.start and extent.stop <= self.stop


def spans(extents: Iterable[Extent]) -> list[Span]:
    """Neighbours joined; the edges of large ranges on pages, and the places of all of them in the buffer."""
    joined: list[list[int | str]] = []
    for extent in sorted(extents, key=lambda each: (each.file, each.start)):
        last = joined[-1] if joined else None
        if last and last[0] == extent.file and extent.start - int(last[2]) <= GAP:
            last[2] = max(int(last[2]), extent.stop)
        else:
            joined.append([extent.file, extent.start, extent.stop])
    found, offset = [], 0
    for file, first, stop in joined:
        start, direct = int(first), int(stop) - int(first) >= DIRECT
        start -= start % PAGE                               # what is aligned in the file stays so in the buffer
        found.append(Span(str(file), start if direct else int(first), int(stop), offset, direct))
        offset += rounded(int(stop) - start) + PAGE
    return found


class Arriving:
    """Tensors that are on their way."""

    def __init__(
        self, extents: Sequence[Extent], places: Sequence[Span], memory: object, parts: list[Future[None]]
    ) -> None:
        self.extents, self.places, self.memory, self.parts = extents, places, memory, parts

    def tensors(self) -> dict[str, Tensor]:
        """The stored tensors by key, in their stored dtype, on the buffer's memory; waits for them."""
        for part in self.parts:
            part.result()
        return {extent.key: self._tensor(extent) for extent in self.extents}

    def _tensor(self, extent: Extent) -> Tensor:
        if extent.dtype not in DTYPES:
            raise NexusError(f"The tensor '{extent.key}' of '{extent.file}' has the unknown dtype {extent.dtype}.")
        dtype, size = DTYPES[extent.dtype], extent.stop - extent.start
        if math.prod(extent.shape) * dtype.itemsize != size:
            raise NexusError(
                f"The tensor '{extent.key}' of '{extent.file}' has {size} bytes, which is not {extent.dtype} "
                f"{list(extent.shape)}. The file is damaged: fetch it again."
            )
        place = next(each for each in self.places if each.holds(extent))
        offset = place.offset + place.start % PAGE + (extent.start - place.start)
        return tensor_in(self.memory, offset, dtype, extent.shape)


class Reader:
    """Reads by two threads into buffers that are used again."""

    def __init__(self, files: Files | None = None, buffers: Buffers | None = None) -> None:
        self.files: Files = files or Here()
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sli-read")
        self.buffers, self.bytes, self.lock = buffers or Buffers(), 0, threading.Lock()
        self.stamps: dict[str, Stamp] = {}
        """Of files that must stay as they are."""

    def watch(self, files: Iterable[str]) -> None:
        """From now on these files on this disk must stay the files that they are: layers of two checkpoints make no
        model. NexusError, when one of them is read, where it is another."""
        for file in files:
            with suppress(OSError):
                self.stamps[file] = stamp(Path(file).stat())

    def send_for(self, extents: Sequence[Extent], *, once: bool = False) -> Arriving:
        """Begins to read; the memory is one buffer for all of them, which others use after them unless they come but
        `once`."""
        here = self.files.place(extents)
        places = spans(here)
        size = places[-1].offset + rounded(places[-1].stop - places[-1].start) + 2 * PAGE if places else 1
        memory = self.buffers.take(size, once=once)
        tasks = []
        for place in places:
            for first in range(place.start, place.stop, CHUNK):
                last = min(first + CHUNK, place.stop)
                tasks.append(self.pool.submit(self._chunk, here, place, first, last, [memory]))
        self._when_read(extents, tasks)
        return Arriving(here, places, memory, tasks)

    def _when_read(self, extents: Sequence[Extent], tasks: list[Future[None]]) -> None:
        """Tells the files once all has been read, or has failed, whether anybody takes the tensors or not."""
        left = len(tasks)

        def one(_: Future[None] | None) -> None:
            nonlocal left
            with self.lock:
                left -= 1
                over = left <= 0
            if over:
                self.files.done(extents)

        if not tasks:
            one(None)
        for task in tasks:
            task.add_done_callback(one)

    def read(self, extents: Sequence[Extent]) -> dict[str, Tensor]:
        """Reads now."""
        return self.send_for(extents).tensors()

    def close(self) -> None:
        """Waits for the threads and gives the memory back."""
        self.files.close()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.buffers.clear()

    def _chunk(self, extents: Sequence[Extent], place: Span, first: int, last: int, memory: list[object]) -> None:
        """Bytes `first` to `last` of a file into their place; whole pages where they go past the cache. The buffer is
        taken out of its list: a thread that is not through with its task when the task is done must not keep it."""
        at = place.offset + place.start % PAGE + (first - place.start)
        path, done = self.files.local(place.file), 0
        try:
            with Opened(path, direct=place.direct) as file:
                wanted = last - first
                room = rounded(wanted) if file.direct else wanted
                view = memoryview(memory.pop())[at : at + room]  # type: ignore[arg-type]
                while done < wanted:
                    got = file.read(view[done:], first + done)
                    if got == 0:
                        raise NexusError(_short(extents, place.file, first + done))
                    done += got
                if self.stamps.get(place.file, file.stamp) != file.stamp:
                    raise NexusError(_replaced(extents, place.file, first))
        except OSError as error:
            raise NexusError(_unreadable(extents, place.file, first + done, error)) from error
        with self.lock:
            self.bytes += done


def buffers_for(device: str) -> Buffers:
    """Memory from which a device may copy while the processor does something else."""
    return Locked() if torch.device(device).type == "cuda" else Buffers()


def read(extents: Iterable[Extent]) -> dict[str, Tensor]:
    """The stored tensors of these ranges, by key, on memory of their own."""
    reader = Reader()
    try:
        return reader.read(tuple(extents))
    finally:
        reader.close()


def _at(extents: Sequence[Extent], file: str, at: int) -> str:
    """The tensor to which a byte of a file belongs, or the next one behind it."""
    behind = [each for each in extents if each.file == file and each.stop > at]
    return min(behind, key=lambda each: each.start).key if behind else "?"


def _unreadable(extents: Sequence[Extent], file: str, at: int, error: OSError) -> str:
    """What the system said of a file that is gone, that may not be read, or whose disk fails."""
    gone = error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR)
    what = "Put the checkpoint back, or mend `source`" if gone else "Check the disk"
    return (
        f"'{file}' cannot be read at byte {at}, inside the tensor '{_at(extents, file, at)}' ({error.strerror}). "
        f"{what}, and run it again: what was extracted stays."
    )


def _replaced(extents: Sequence[Extent], file: str, at: int) -> str:
    return (
        f"'{file}' was replaced or written to while the model ran (found at the tensor '{_at(extents, file, at)}'): "
        "what was read before is of another checkpoint. Leave the files alone, and run it again."
    )


def _short(extents: Sequence[Extent], file: str, at: int) -> str:
    return f"'{file}' ends inside the tensor '{_at(extents, file, at)}'. Fetch the checkpoint again."
