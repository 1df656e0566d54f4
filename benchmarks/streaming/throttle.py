"""A disk of a known rate. The host of a virtual machine keeps the files of its guests in a cache of its own, which no
guest can empty: what is read for the second time comes from memory. So the kernel holds the readings of a process to a
rate (control groups, versions 1 and 2), which needs root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GROUPS, BLOCKS = Path("/sys/fs/cgroup"), Path("/sys/dev/block")
ENTER = 'echo $$ > "$0" && exec "$@"'


@contextmanager
def held_to(folder: Path, rate: int) -> Iterator[list[str]]:
    """Inside, what stands before a command whose readings from the disk of `folder` are held to `rate` bytes a second;
    nothing for 0. SystemExit where this machine has no such groups, or one may not make them."""
    if not rate:
        yield []
        return
    first = GROUPS / "blkio"
    group = (first if first.is_dir() else GROUPS) / f"nexus-{os.getpid()}"
    device = _device(folder)
    try:
        group.mkdir()
        if first.is_dir():
            (group / "blkio.throttle.read_bps_device").write_text(f"{device} {rate}")
        else:
            (GROUPS / "cgroup.subtree_control").write_text("+io")
            (group / "io.max").write_text(f"{device} rbps={rate}")
    except OSError as error:
        raise SystemExit(
            f"The disk {device} cannot be held to a rate here ({error}): --disk-rate needs root and control groups of "
            "input and output. Leave it out to measure the disk as it is."
        ) from error
    try:
        yield ["sh", "-c", ENTER, str(group / "cgroup.procs")]
    finally:
        group.rmdir()


def _device(folder: Path) -> str:
    """Numbers of the disk on which a folder lies, "254:0"; of the whole disk where it lies on a partition."""
    number = folder.stat().st_dev
    block = BLOCKS / f"{os.major(number)}:{os.minor(number)}"
    whole = block.resolve().parent / "dev" if (block / "partition").is_file() else block / "dev"
    return whole.read_text().strip() if whole.is_file() else block.name
