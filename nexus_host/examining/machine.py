"""Processor, memory, disk, GPU, locks, folders. Nothing here imports torch: the driver is asked for the GPU."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from nexus_specs.caching import expanded

from ..words import bytes_text
from .findings import Finding

LEAST_MEMORY = 2 * 10**9
LEAST_DISK = 2 * 10**9
DRIVER = ("nvidia-smi", "--query-gpu=name,memory.free,driver_version", "--format=csv,noheader")


def examine_machine(run: Path) -> Iterator[Finding]:
    """Findings about the machine that a run in this folder would use."""
    yield Finding("processor", "ok", f"{_processor()}, {psutil.cpu_count(logical=False) or 1} cores")
    yield _memory()
    yield gpu(DRIVER)
    home = _nearest(run)
    yield _disk(home)
    yield writable(home)
    yield locks(home)
    yield _cache()


def _processor() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    text = f"{bytes_text(memory.available)} free of {bytes_text(memory.total)}"
    if memory.available < LEAST_MEMORY:
        return Finding("memory", "warn", text, "close other programs, or set run.workers: 1")
    return Finding("memory", "ok", text)


def gpu(command: tuple[str, ...]) -> Finding:
    """What the driver says; a machine without one runs on the processor."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return Finding("gpu", "ok", "none; the processor is used")
    return Finding("gpu", "ok", "; ".join(done.stdout.strip().splitlines()))


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return path if path.is_dir() else _nearest(path.parent)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{bytes_text(free)} free at {folder}"
    if free < LEAST_DISK:
        return Finding("disk", "warn", text, "free some space, or choose another --run-dir")
    return Finding("disk", "ok", text)


def writable(folder: Path) -> Finding:
    """Whether a file can be made here and take another's place."""
    try:
        with tempfile.TemporaryDirectory(prefix=".nexus-doctor-", dir=folder) as inner:
            first, second = Path(inner) / "first", Path(inner) / "second"
            first.write_text("x", encoding="utf-8")
            first.replace(second)
    except OSError as error:
        return Finding("writable", "fail", f"{folder}: {error.strerror}", "choose another --run-dir")
    return Finding("writable", "ok", str(folder))


def locks(folder: Path) -> Finding:
    """Whether flock keeps a second opener out; on some network file systems it silently does not."""
    first, second = os.open(folder, os.O_RDONLY), os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Finding("locks", "ok", "flock works")
    except OSError as error:
        return Finding("locks", "fail", f"flock does not work here: {error.strerror}", "choose a local --run-dir")
    finally:
        os.close(first)
        os.close(second)
    return Finding("locks", "fail", "flock keeps nobody out here", "choose a --run-dir on a local disk")


def _cache() -> Finding:
    """The cache that Hugging Face libraries share."""
    home = expanded(os.environ.get("HF_HOME") or "~/.cache/huggingface")
    if not home.is_dir():
        return Finding("shared cache", "ok", f"{home} (not there yet)")
    mark = os.access(home, os.W_OK)
    return Finding("shared cache", "ok" if mark else "warn", str(home), "" if mark else "set HF_HOME")
