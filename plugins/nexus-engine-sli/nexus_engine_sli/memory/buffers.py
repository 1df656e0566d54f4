"""Memory that weights are read into, page-aligned, used again as soon as nobody holds a tensor in it."""

from __future__ import annotations

import mmap
import sys
from collections import deque
from typing import Any

import torch
from nexus_specs import NexusError

PAGE = 4096
_HUGE = 2 << 20
LATELY = 6
"""So many of the last sizes count: parts of layers that alternate use each other's maps."""
SMALL = 4
"""A part of which a map has so many times the size leaves the rest of its pages to the process: behind the widest block
of a U-Net come small ones with large states."""
_UNUSED = 2
"""References to a map on which no tensor stands: the list's and the argument of `getrefcount`."""


def rounded(size: int, to: int = PAGE) -> int:
    """The next multiple of `to`."""
    return -(-size // to) * to


def anonymous(size: int) -> mmap.mmap:
    """Private memory of the process, in large pages where the system has them."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        made.madvise(mmap.MADV_HUGEPAGE)
    return made


class Buffers:
    """Maps by need. A tensor made with `torch.frombuffer` holds a reference to its map, so a module that keeps a view
    of its weight keeps the map: it is left to it, and another one is made. Where everything stays, no more than the
    last size counts (`lately`): what is kept in a larger map keeps all of it."""

    def __init__(self, lately: int = LATELY) -> None:
        self.maps: list[mmap.mmap] = []
        self.passing = set[int]()
        """Those that were made for what is needed once."""
        self.sizes: deque[int] = deque(maxlen=lately)

    def take(self, size: int, *, once: bool = False) -> mmap.mmap:
        """A map of at least `size` bytes that nobody uses. What is unused and too small goes, and what is larger than
        anything that was asked for lately, but for what is needed `once`: the embedding's, while layers pass."""
        if not once:
            self.sizes.append(size)
        largest = max((size, *self.sizes)) * 5 // 4 + _HUGE
        for at in sorted(self._unused(), reverse=True):
            if len(self.maps[at]) > largest:
                self.drop(self.maps.pop(at))
        unused = self._unused()
        if fitting := [at for at in unused if len(self.maps[at]) >= size]:
            found = self.maps[min(fitting, key=lambda at: len(self.maps[at]))]
            if SMALL * size < len(found):
                self.spare(found, size)
            return found
        for at in sorted(unused, reverse=True):
            self.drop(self.maps.pop(at))
        self.maps.append(self.make(rounded(max(size, 1), _HUGE if size >= _HUGE else PAGE)))
        if once:
            self.passing.add(id(self.maps[-1]))
        return self.maps[-1]

    def sweep(self) -> None:
        """What was needed once goes as soon as nobody uses it: an embedding's map that is too small for layers would
        stay beside them to the end."""
        for at in sorted(self._unused(), reverse=True):
            if id(self.maps[at]) in self.passing:
                self.drop(self.maps.pop(at))
        self.passing.intersection_update(map(id, self.maps))

    def clear(self) -> None:
        """Gives back what nobody uses, and forgets what somebody keeps: it goes with its last tensor."""
        while self.maps:
            self.drop(self.maps.pop())

    def make(self, size: int) -> mmap.mmap:
        """A new map."""
        return anonymous(size)

    def spare(self, memory: mmap.mmap, size: int) -> None:
        """What is behind `size` bytes leaves, and comes back as it is written."""
        if hasattr(mmap, "MADV_DONTNEED") and rounded(size) < len(memory):
            memory.madvise(mmap.MADV_DONTNEED, rounded(size), len(memory) - rounded(size))

    def drop(self, memory: mmap.mmap) -> None:
        """A map is not used any more."""

    def _unused(self) -> set[int]:
        return {at for at in range(len(self.maps)) if sys.getrefcount(self.maps[at]) <= _UNUSED}


class Locked(Buffers):
    """Page-locked maps, from which CUDA copies by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.locked: set[int] = set()

    def make(self, size: int) -> mmap.mmap:
        """Locks a new map, once for all that is read into it. NexusError where the driver locks no more."""
        made = super().make(size)
        place = _address(made)
        error = int(torch.cuda.cudart().cudaHostRegister(place, size, 0))
        if error:
            raise NexusError(
                f"The driver cannot lock {size:,} bytes of memory for copies to the device (CUDA error {error}). Two "
                "layers must fit in RAM beside what else runs there: free some, or set run.device to cpu."
            )
        self.locked.add(place)
        return made

    def spare(self, memory: mmap.mmap, size: int) -> None:
        """Nothing: it is locked."""

    def drop(self, memory: mmap.mmap) -> None:
        """Nothing may be copied from it any more."""
        place = _address(memory)
        if place in self.locked:
            self.locked.remove(place)
            torch.cuda.cudart().cudaHostUnregister(place)


def _address(memory: mmap.mmap) -> int:
    return torch.frombuffer(memory, dtype=torch.uint8).data_ptr()


def tensor_in(memory: Any, offset: int, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor on a buffer's memory; a copy where the offset is not a multiple of the dtype's size."""
    count = 1
    for length in shape:
        count *= length
    if not count:
        return torch.empty(shape, dtype=dtype)
    if offset % dtype.itemsize:
        raw = torch.frombuffer(memory, dtype=torch.uint8, offset=offset, count=count * dtype.itemsize)
        return raw.clone().view(dtype).reshape(shape)
    return torch.frombuffer(memory, dtype=dtype, offset=offset, count=count).reshape(shape)
