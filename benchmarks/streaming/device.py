"""The contenders of `sli.py --device cuda`: a checkpoint larger than the part of a GPU's memory that may be used.

Two ceilings, `copies` (all weights from page-locked memory) and `compute_cuda` (the same forwards on weights that are
on the device, outside the limit); Nexus streamed from the disk (`nexus_cuda`; its third ceiling is `disk`) and from RAM
(`offload_cuda`). Each run of Nexus is followed by a short one under torch's profiler: a trace for chrome://tracing or
Perfetto beside the results, and the share of the copying during which something computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from streaming.corpus import Case, Size, weights
from streaming.summary import Medians, known, worst

if TYPE_CHECKING:
    from streaming.plain import Given, Outputs

LIMIT = 16_000_000_000
"""Bytes of the device that a process of Nexus may use."""
SIZE = Size(4096, 14336, 44)
"""20 GB in bfloat16."""
CASES = (Case(64, 512, 8), Case(256, 512, 8))
EVERY = ("disk", "copies", "compute_cuda", "nexus_cuda", "offload_cuda")
PIECE, ROUNDS = 256 << 20, 16
CUDA_RUNTIME = 1_000_000_000
"""Bytes of the limit that are not for weights and states."""
Span = tuple[float, float]


def run(name: str, given: Given, ours: Callable[..., Outputs], compute: Callable[[Given], Outputs]) -> Outputs:
    """One of them in this process."""
    if name == "copies":
        given.more |= copies(sum(path.stat().st_size for path in weights(given.folder)))
        return {}
    if name == "compute_cuda":
        return compute(given)
    torch.cuda.set_per_process_memory_fraction(min(1.0, LIMIT / torch.cuda.get_device_properties(0).total_memory))
    residency = "stream" if name == "nexus_cuda" else "offload"
    given.memory = LIMIT - CUDA_RUNTIME
    torch.cuda.reset_peak_memory_stats()
    found = ours(given, residency)
    given.more["device_peak_bytes"] = torch.cuda.max_memory_reserved()
    given.more["overlap"] = profiled(name, given, ours, residency)
    return found


def copies(size: int) -> dict[str, float]:
    """Seconds that `size` bytes take from page-locked memory to the device, at the rate of large pieces."""
    there = torch.empty(PIECE, dtype=torch.uint8, device="cuda")
    here = torch.empty(PIECE, dtype=torch.uint8, pin_memory=True)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    there.copy_(here, non_blocking=True)
    first.record()
    for _ in range(ROUNDS):
        there.copy_(here, non_blocking=True)
    last.record()
    last.synchronize()
    rate = PIECE * ROUNDS / (first.elapsed_time(last) / 1000)
    return {"copy_rate": rate, "seconds": size / rate}


def profiled(name: str, given: Given, ours: Callable[..., Outputs], residency: str) -> float:
    """The share of the time of copies to the device during which it computes; the trace goes beside the checkpoint."""
    from torch.profiler import ProfilerActivity, profile

    short = replace(given, case=replace(given.case, samples=4 * given.case.micro_batch), more={})
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        ours(short, residency)
    found.export_chrome_trace(str(given.folder.parent / f"{name}.trace.json"))
    copying: list[Span] = []
    computing: list[Span] = []
    for event in found.events():
        if "CUDA" in str(event.device_type):
            place = copying if "HtoD" in event.name else computing if "Mem" not in event.name else []
            place.append((event.time_range.start, event.time_range.end))
    return shared(copying, computing)


def shared(some: Iterable[Span], others: Iterable[Span]) -> float:
    """How much of the length of some spans others cover.

    >>> shared([(0, 4), (10, 14)], [(2, 3), (2, 6), (13, 20)])
    0.375
    """
    first, second = joined(some), joined(others)
    both = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in first for b in second)
    length = sum(stop - start for start, stop in first)
    return both / length if length else math.nan


def joined(spans: Iterable[Span]) -> list[Span]:
    """Spans that overlap as one, in order."""
    found: list[Span] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return found


def figures(medians: Medians, cases: Sequence[Case]) -> dict[str, Any]:
    """The share of the slower ceiling that is reached, from the disk and from RAM; None for what was not measured."""
    copying, reading = medians.of(None, "copies", "seconds"), medians.of(None, "disk", "seconds")
    found: dict[str, Any] = {}
    for case in cases:
        computing = medians.of(case, "compute_cuda", "compute_seconds")
        for name, ceilings in (("offload_cuda", (copying, computing)), ("nexus_cuda", (copying, computing, reading))):
            found[f"{name} {case.name}"] = {
                "of_ceiling": worst(ceilings) / medians.of(case, name, "seconds"),
                "overlap": medians.of(case, name, "overlap"),
                "device_peak_bytes": medians.of(case, name, "device_peak_bytes"),
            }
    found["bit_equal"] = all(row.get("equal", False) for row in medians.rows if row["contender"] == "nexus_cuda")
    found["bytes_read_ratio"] = medians.of(None, "nexus_cuda", "file_bytes") / medians.size
    return known(found)  # type: ignore[no-any-return]
