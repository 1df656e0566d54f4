"""What a process takes: time, bytes from the disk, anonymous memory; and the page cache kept empty meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SPACING, FORGET = 0.02, 50
"""Seconds between two looks at the memory; looks between two times that the cache is emptied: a second, so that what
was read ahead is used, and what was used is gone the next time."""


def forget(files: Sequence[Path]) -> None:
    """Drops files from the page cache."""
    for path in files:
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def from_disk() -> int:
    """Bytes that this process had read from block devices."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def anonymous(process: int | str = "self") -> int:
    """Bytes of anonymous memory that a process has in RAM; 0 of one that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0) * 1024


class Taken:
    """Seconds, of the clock and of the processor, bytes read, and the most anonymous memory beside what was there."""

    seconds, cpu_seconds, bytes_read, peak_bytes = 0.0, 0.0, 0, 0


@contextmanager
def measured(files: Sequence[Path]) -> Iterator[Taken]:
    """Measures what happens inside; drops the files from the cache before and all the while."""
    taken, over, before = Taken(), threading.Event(), anonymous()

    def watch() -> None:
        turns = 0
        while not over.wait(SPACING):
            taken.peak_bytes = max(taken.peak_bytes, anonymous() - before)
            turns += 1
            if turns % FORGET == 0:
                forget(files)

    forget(files)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    read, start, cpu = from_disk(), time.perf_counter(), time.process_time()
    try:
        yield taken
    finally:
        taken.seconds, taken.cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        taken.bytes_read = from_disk() - read
        over.set()
        thread.join()
