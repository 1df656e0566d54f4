"""Gives memory that nobody uses back to the system.

glibc before 2.38 does not use a freed block again for an aligned one of the same size once something small and
lasting lies behind it (its bug 14581). Logits are such blocks, and what is kept of each of them is small: so a pass
over a corpus grew by the logits of every sample, 1.3 GB for 32 sequences of 256 tokens and 32000 scores; and what a
layer computes leaves holes of some 200 MB, and at times a gigabyte.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .buffers import PAGE

GROWN = 192 << 20
"""Bytes by which the process may grow before its heap is trimmed, if nobody says how many."""
STATM = Path("/proc/self/statm")
MAPPED, KEPT = 12 << 20, 64 << 20
"""Bytes from which on a block is mapped by itself; free bytes at the end of the heap that stay there."""
FINE = 768 << 10
"""Bytes from which on a block is mapped by itself while packed weights are unpacked: the matrices of hundreds of
experts, each of which is gone once they are put together, or once it was multiplied. What computes them is smaller."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function of glibc; None with another C library or system."""
    try:
        found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):  # Windows has no library of that kind
        return None
    return found


_TRIM, _OPTION = _of_glibc("malloc_trim"), _of_glibc("mallopt")


def map_large_blocks(least: int = MAPPED) -> None:
    """Large blocks go back as soon as they are freed: from a fixed size on they are mapped by themselves, in the whole
    process. By itself glibc raises that size to 32 MiB once a block of it was freed."""
    if _OPTION is not None:
        _OPTION(_MMAP_THRESHOLD, least)
        _OPTION(_TRIM_THRESHOLD, KEPT)


@contextmanager
def mapping_finely() -> Iterator[None]:
    """As `map_large_blocks`, for blocks of a matrix too, while this lasts."""
    if _OPTION is not None:
        _OPTION(_MMAP_THRESHOLD, FINE)
    try:
        yield
    finally:
        map_large_blocks()


class Heap:
    """What the process held when free pages last left it."""

    def __init__(self) -> None:
        self.least, self.grown = 0, GROWN

    def give_back(self, grown: int | None = None) -> None:
        """Trims where the process has grown by so much (None: by what is allowed; 0: in any case): that takes 2 ms, and
        what left comes back page by page."""
        if _TRIM is None or not STATM.is_file():
            return
        now = anonymous()
        self.least = min(self.least, now)
        if now - self.least >= (self.grown if grown is None else grown):
            _TRIM(0)
            self.least = anonymous()


_HEAP = Heap()


def allow(grown: int = GROWN) -> None:
    """From now on the process may grow by so many bytes before its heap is trimmed: the last that asks says it."""
    _HEAP.grown = grown


def give_back(grown: int | None = None) -> None:
    """Pages of the heap that hold nothing leave the process, if it has grown by so many bytes (None: by more than is
    allowed). To be called where large blocks have just gone: behind a layer, at the end of a batch."""
    _HEAP.give_back(grown)


def anonymous() -> int:
    """Bytes of memory that no file stands behind."""
    _, resident, shared, *_ = STATM.read_text().split()
    return (int(resident) - int(shared)) * PAGE
