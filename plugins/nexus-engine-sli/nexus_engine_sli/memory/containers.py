"""The memory that the group of processes in which this one runs leaves it: containers, batch systems, systemd.

A limit may stand at the group itself or at any one above it, and counts what all of the group's processes hold. Files
that are only cached go by themselves, so they do not count. Source: Documentation/admin-guide/cgroup-v2.rst and
cgroup-v1/memory.rst of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
SECOND = ("memory.max", "memory.current", "inactive_file")
FIRST = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Files with the limit and with what is held, and the line of memory.stat with what goes by itself."""


def left() -> int | None:
    """Bytes that the tightest of all groups around this process leaves; None where there is no limit."""
    return min((each for each in map(_left, _groups()) if each is not None), default=None)


def _groups() -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """The group and those above it; of a container, whose own group may be mounted as the root, the root too."""
    with suppress(OSError):
        for line in OWN.read_text(encoding="utf-8").splitlines():
            _, kinds, place = [*line.split(":", 2), "", ""][:3]
            if kinds and "memory" not in kinds.split(","):
                continue
            root, names = (ROOT / "memory", FIRST) if kinds else (ROOT, SECOND)
            path = root / place.strip("/")
            yield from ((each, names) for each in (path, *path.parents) if each == root or root in each.parents)


def _left(group: tuple[Path, tuple[str, str, str]]) -> int | None:
    path, (limit, held, cached) = group
    try:
        most, now = (int((path / name).read_text(encoding="utf-8")) for name in (limit, held))
        rows = dict(line.split(" ", 1) for line in (path / "memory.stat").read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):                           # "max": no limit
        return None
    return max(0, most - now + min(now, int(rows.get(cached, 0))))
