"""Where and how precisely a unit computes: device, precision, threads, and a seed of its own."""

from __future__ import annotations

import ctypes
import dataclasses
import hashlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from nexus_specs import Batch, Budget, Signal
from nexus_torch.padding import Collated
from torch import Tensor

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""


@contextmanager
def apart(seed: int, subject: str, budget: Budget) -> Iterator[int]:
    """While open, random numbers come from a seed made of the run's and the subject's, and the budget's threads are
    used; both are as before afterwards. Gives the seed. The stage is left out: a control starts as its student."""
    own = int.from_bytes(hashlib.sha256(f"{seed}/{subject}".encode()).digest()[:6])
    threads = torch.get_num_threads()
    _keep_memory()
    torch.set_num_threads(max(1, budget.threads))
    try:
        with torch.random.fork_rng():
            torch.manual_seed(own)
            yield own
    finally:
        torch.set_num_threads(threads)


def _keep_memory() -> None:
    """Lets glibc keep freed blocks of up to 32 MiB, its limit, instead of giving them back and having each touched
    anew by the kernel: a tenth of a step. Elsewhere nothing happens."""
    allocator = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if allocator is not None:
        for parameter, value in ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 2**31 - 1)):
            allocator(parameter, value)


def autocast(budget: Budget) -> AbstractContextManager[Any]:
    """Products in bfloat16 where the plan chose it; weights and sums stay float32."""
    return torch.autocast(kind(budget), torch.bfloat16, enabled=budget.precision == "bfloat16")


def product_dtype(budget: Budget) -> torch.dtype:
    """What matrix products outside of autocast are made in."""
    return torch.bfloat16 if budget.precision == "bfloat16" else torch.float32


def kind(budget: Budget) -> str:
    """ "cpu" or "cuda" """
    return budget.device.partition(":")[0]


def placed(batch: Batch, device: str) -> Batch:
    """A batch on a device, what stands beside its arguments too."""
    if device == "cpu":
        return batch
    moved = {name: _moved(item, device) for name, item in batch.items()}
    side = {name: _moved(item, device) for name, item in getattr(batch, "side", {}).items()}
    return Collated(moved, **side)


def placed_signal(signal: Signal, device: str) -> Signal:
    """A signal on a device."""
    if device == "cpu":
        return signal
    return dataclasses.replace(
        signal,
        tokens=_moved(signal.tokens, device),
        mask=_moved(signal.mask, device),
        states={name: _moved(item, device) for name, item in signal.states.items()},
        outputs={name: _moved(item, device) for name, item in signal.outputs.items()},
    )


def _moved(item: Any, device: str) -> Any:
    return item.to(device) if isinstance(item, Tensor) else item
