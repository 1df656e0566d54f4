"""How far this process may grow while it does what a stranger's file says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import resource
except ImportError:                                         # Windows has no such limits
    resource = None  # type: ignore[assignment]

STATUS = Path("/proc/self/status")


@contextmanager
def growing(most: int) -> Iterator[None]:
    """While this lasts the process may take so many bytes more; what asks for others gets a MemoryError. No limit where
    the system has none to set, or a lower one is set."""
    if resource is None or not STATUS.is_file():
        yield
        return
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    set_ = [each for each in (before, hard) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(_data() + most, *set_, 1 << 62), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


def _data() -> int:
    """Bytes that the limit counts: the heap, and what is mapped for this process alone to write into."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmData")), 0) * 1024
