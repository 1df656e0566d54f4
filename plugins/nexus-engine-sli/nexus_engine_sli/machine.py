"""What this machine is and what it reaches, measured in about a second."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path

import psutil
import torch
from nexus_specs import Machine

NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Flags of processors that multiply bfloat16 natively."""
SIZE, ROUNDS, PROBE = 1024, 3, 32 << 20
CGROUP = Path("/sys/fs/cgroup/memory.max")


def measure(folder: Path) -> Machine:
    """Device, memory, matrix rate of one thread, and the rate of the disk that holds `folder`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    native = bfloat16(device)
    return Machine(
        processor=processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        device=device,
        memory=free_memory(),
        device_memory=torch.cuda.mem_get_info()[0] if device == "cuda" else 0,
        bfloat16=native,
        gigaflops=gigaflops(device, torch.bfloat16 if native else torch.float32),
        read_rate=read_rate(folder),
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
    """Bytes of RAM that this process may still take; a container's limit counts."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = int(CGROUP.read_text())
    except (OSError, ValueError):
        return free
    return min(free, limit)


def gigaflops(device: str, dtype: torch.dtype) -> float:
    """The best of some square matrix products, one thread; 10^9 operations a second."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        left, right = (torch.ones(SIZE, SIZE, dtype=dtype, device=device) for _ in range(2))
        return round(max(_rate(left, right) for _ in range(ROUNDS)), 1)
    finally:
        torch.set_num_threads(threads)


def read_rate(folder: Path) -> float:
    """Bytes a second from the disk that holds a folder, past the page cache where the system allows it."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(os.urandom(PROBE))
            file.flush()
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            start = time.perf_counter()
            os.pread(file.fileno(), PROBE, 0)
            return round(PROBE / (time.perf_counter() - start))
    except OSError:
        return 0.0


def _rate(left: torch.Tensor, right: torch.Tensor) -> float:
    start = time.perf_counter()
    product = left @ right
    if product.is_cuda:
        torch.cuda.synchronize()
    return 2 * SIZE**3 / (time.perf_counter() - start) / 1e9


def _cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
