"""What this machine is and what it reaches, measured in about a second."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch
from nexus_specs import Extent, Machine, NexusError
from torch import nn
from torch.nn.functional import linear

from ..files.reading import read
from ..memory import containers

NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Flags of processors that multiply bfloat16 natively."""
SIZE, ROUNDS, PROBE, READS = 1024, 3, 24 << 20, 2
ENOUGH, ROOM = 16 << 20, 100
"""Bytes of a file that tell a disk's rate; how many times what is written must be free."""
LITTLE, LEAST = 128, 1 << 20
"""The part of the weights that may be read for it, in `READS` times, and what each must be at least."""
WEIGHTS_OF = ("*.safetensors", "*.gguf")
WEIGHT, WEIGHTS, ROWS = (2816, 2048), 8, 16
"""Matrices that do not fit in a cache together, and rows that pass them."""
NARROW, CALLS = 8, 300
"""Width at which operations take as long as calling them, and how often that is tried."""


def measure(folder: Path) -> Machine:
    """Device, memory, matrix rate of one thread, and the rate of the disk that holds `folder`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    native = bfloat16(device)
    dtype = torch.bfloat16 if native else torch.float32
    reached = gigaflops(device, dtype)
    return Machine(
        processor=processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        device=device,
        memory=free_memory(),
        device_memory=torch.cuda.mem_get_info()[0] if device == "cuda" else 0,
        bfloat16=native,
        gigaflops=reached,
        gigaflops_float32=gigaflops(device, torch.float32) if native else reached,
        read_rate=read_rate(folder),
        weight_rate=weight_rate(device, dtype, reached),
        call_rate=call_rate(device),
    )


def processor() -> str:
    """The name of the processor."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 natively."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return any(flag in flags for flag in NATIVE_BFLOAT16)


def free_memory() -> int:
    """Bytes of RAM that this process may still take; the limit of a container or a batch system counts."""
    free, left = int(psutil.virtual_memory().available), containers.left()
    return free if left is None else min(free, left)


def gigaflops(device: str, dtype: torch.dtype) -> float:
    """The best of some square matrix products, one thread; 10^9 operations a second."""
    with _one_thread():
        left, right = (torch.ones(SIZE, SIZE, dtype=dtype, device=device) for _ in range(2))
        seconds = min(_seconds(lambda: left @ right, _clock(device)) for _ in range(ROUNDS))
        return round(2 * SIZE**3 / seconds / 1e9, 1)


@torch.no_grad()
def weight_rate(device: str, dtype: torch.dtype, reached: float) -> float:
    """Bytes a second of weights through products of a few rows, one thread, beside the arithmetic at `reached` 10^9
    operations a second: they come from memory and are put in the order in which the processor multiplies, however few
    rows there are. Each micro-batch pays that again, so short texts cost more than their arithmetic."""
    with _one_thread():
        weights = torch.ones(WEIGHTS, *WEIGHT, dtype=dtype, device=device)
        rows = torch.ones(ROWS, WEIGHT[1], dtype=dtype, device=device)
        clock = _clock(device)
        seconds = min(_seconds(lambda: [linear(rows, each) for each in weights], clock) for _ in range(ROUNDS))
        arithmetic = 2 * ROWS * weights.numel() / (reached * 1e9)
        return round(weights.nbytes / max(seconds - arithmetic, seconds / 10))


@torch.no_grad()
def call_rate(device: str) -> float:
    """Operations a second of modules on a row of a few numbers: what is paid for calls, however little they compute."""
    with _one_thread():
        tiny = nn.Sequential(nn.LayerNorm(NARROW), nn.Linear(NARROW, NARROW), nn.SiLU()).to(device)
        row = torch.ones(1, NARROW, device=device)
        seconds = min(_seconds(lambda: [tiny(row) for _ in range(CALLS)], _clock(device)) for _ in range(ROUNDS))
        return round(CALLS * len(tiny) / seconds)


def read_rate(folder: Path) -> float:
    """Bytes a second from the disk that holds a folder, read as weights are: past the page cache, by several threads.
    What is read is a large file of the same disk, else weights that lie there; beside weights, which are to be read
    once, less than a hundredth of what they are. Only where there is neither, a file is written for it. 0 where weights
    are few, nothing can be read, or little room is left for that."""
    try:
        weights = [path for kind in WEIGHTS_OF for path in folder.glob(kind)]
        large = _large(_libraries(folder)) or _large(weights)
        most = sum(path.stat().st_size for path in weights) // LITTLE // READS if weights else PROBE
        if large is not None:
            return _rate(large, min(PROBE, most, large.stat().st_size)) if most >= LEAST else 0.0
        if weights or shutil.disk_usage(folder).free < ROOM * PROBE:
            return 0.0
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(os.urandom(PROBE))
            file.flush()
            os.fsync(file.fileno())
            return _rate(Path(file.name), PROBE)
    except (OSError, NexusError):
        return 0.0


def _rate(file: Path, size: int) -> float:
    probe = Extent(key="probe", file=str(file), start=0, stop=size, dtype="U8", shape=(size,))
    return round(size / min(_seconds(lambda: read((probe,)), time.perf_counter) for _ in range(READS)))


def _large(files: Iterable[Path]) -> Path | None:
    """The largest of some files, if that is large enough to tell."""
    found = max(((path.stat().st_size, path) for path in files if path.is_file()), default=None)
    return found[1] if found and found[0] >= ENOUGH else None


def _libraries(folder: Path) -> list[Path]:
    """Torch's own, if they are on the disk of a folder: hundreds of megabytes."""
    inside = Path(torch.__file__).parent / "lib"
    return list(inside.glob("*")) if inside.is_dir() and inside.stat().st_dev == folder.stat().st_dev else []


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Of some work, a device's part of it included."""
    start = clock()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


def _clock(device: str) -> Callable[[], float]:
    """A device is waited for. A processor's time is that of this thread, so that what else runs here counts less."""
    return time.perf_counter if device == "cuda" else time.thread_time


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
