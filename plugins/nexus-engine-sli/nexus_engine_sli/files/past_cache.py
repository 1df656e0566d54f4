"""Files that are read past the page cache: what is read once would only push other things out of it."""

from __future__ import annotations

import os
from pathlib import Path

DIRECT = 1 << 20
"""From this size on a range goes past the page cache; less is read as it is, to the byte."""
Stamp = tuple[int, int, int, int]
"""Device, inode, size and time of writing of a file."""


class Opened:
    """A file open for reading, past the page cache where the file system can; without it what was read is dropped.
    OSError where it is gone or its disk fails: whoever reads knows for which tensor."""

    def __init__(self, path: Path, *, direct: bool) -> None:
        self.path, self.direct = path, direct and hasattr(os, "O_DIRECT")
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
        try:
            self.file = os.open(path, flags | (os.O_DIRECT if self.direct else 0))
        except OSError:
            if not self.direct:
                raise
            self.direct, self.file = False, os.open(path, flags)

    def __enter__(self) -> Opened:
        return self

    @property
    def stamp(self) -> Stamp:
        """Which file it is, as it is now."""
        return stamp(os.fstat(self.file))

    def __exit__(self, *_: object) -> None:
        os.close(self.file)

    def read(self, view: memoryview, at: int) -> int:
        """Bytes read into the view; 0 at the end of the file."""
        try:
            got = os.preadv(self.file, [view], at)
        except OSError:
            if not self.direct:
                raise
            plain = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            os.close(self.file)                             # some file systems refuse only here
            self.direct, self.file = False, plain
            return self.read(view, at)
        if not self.direct and got >= DIRECT and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.file, at, got, os.POSIX_FADV_DONTNEED)
        return got


def stamp(found: os.stat_result) -> Stamp:
    """Which file it is, its size, and when it was written."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
