"""What a run may use: the machine as it was measured, the budget that follows, whether the disk holds the plan."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import psutil
from nexus_specs import Budget, Machine, NexusError, plain, record

from ..registry import Registry
from ..store import read_json, write_json
from ..store.artefacts import SMALL
from ..words import bytes_text
from .plan import Plan

NOTE = "machine.json"
_SHARE = 0.8
"""Of the free memory: the rest is for what else runs here."""
_PROCESS = 1_000_000_000
"""Bytes that a worker with its libraries and a small model takes."""
_ON_A_DEVICE = 4
"""Units side by side on an accelerator: more wait for one another there."""
_RESERVE = 200_000_000
"""Bytes that stay free on the disk."""


def recorded(run: Path) -> Machine | None:
    """This machine as an earlier run of the directory measured it."""
    note = read_json(run / NOTE, {})
    if note.get("host") != host():
        return None
    try:
        machine: Machine = record(Machine, note["machine"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return machine


def keep(run: Path, machine: Machine) -> None:
    """Records the machine in the run directory: measured once, never hashed."""
    write_json(run / NOTE, {"host": host(), "machine": plain(machine)})


def host() -> list[str]:
    """What a measurement holds for."""
    return [platform.node(), platform.machine(), str(os.cpu_count())]


def unmeasured() -> Machine:
    """What is known of this machine without an engine that measures it."""
    return Machine(
        processor=platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        device="cpu",
        memory=psutil.virtual_memory().available,
        device_memory=0,
        bfloat16=False,
        gigaflops=0.0,
    )


def budget(registry: Registry, machine: Machine, run: Path) -> Budget:
    """What a unit may use: the registry's run settings with every `auto` resolved."""
    settings = registry.model.run
    free = psutil.virtual_memory().available if machine.device == "cpu" else machine.device_memory
    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if machine.bfloat16 else "float32"
    return Budget(
        device=machine.device if settings.device == "auto" else settings.device,
        memory=int(free * _SHARE) if settings.memory == "auto" else settings.memory,
        disk=free_disk(run) if settings.disk == "auto" else settings.disk,
        threads=threads(registry),
        precision=precision,
        gigaflops=machine.gigaflops,
        gigaflops_float32=machine.gigaflops_float32,
        read_rate=machine.read_rate,
        weight_rate=machine.weight_rate,
        call_rate=machine.call_rate,
    )


def workers(registry: Registry) -> int:
    """How many worker processes there may be: `auto` as many as the cores keep busy and the memory holds."""
    count = registry.model.run.workers
    if count != "auto":
        return count
    return max(1, min((os.cpu_count() or 1) // threads(registry), psutil.virtual_memory().available // _PROCESS))


def side_by_side(registry: Registry, machine: Machine) -> int:
    """How many units run at a time: as many as there are workers, fewer where they share one accelerator."""
    count = workers(registry)
    shared = machine.device != "cpu" and registry.model.run.workers == "auto"
    return min(count, _ON_A_DEVICE) if shared else count


def threads(registry: Registry) -> int:
    """How many threads each of them has: `auto` is one, since units side by side use the cores better."""
    count = registry.model.run.threads
    return 1 if count == "auto" else count


def free_disk(run: Path) -> int:
    """Bytes that the run may still write."""
    folder = next(each for each in (run, *run.absolute().parents) if each.exists())
    return max(0, shutil.disk_usage(folder).free - _RESERVE)


def check_disk(plan: Plan, beside: int) -> None:
    """Raises NexusError where the disk, or the registry's `run.disk`, would not hold what the plan writes: all that
    lasts, small artefacts twice, and what passes of as many units as run `beside` one another."""
    lasting = [each.disk - each.passing for each in plan.estimates.values()]
    passing = sorted((each.passing for each in plan.estimates.values()), reverse=True)[:beside]
    wanted = sum(size * (2 if size <= SMALL else 1) for size in lasting) + sum(passing)
    room = min(plan.budget.disk, free_disk(plan.run))
    if wanted > room:
        most = sorted(plan.estimates.items(), key=lambda item: -item[1].disk)[:3]
        names = ", ".join(f"{name} {bytes_text(estimate.disk)}" for name, estimate in most if estimate.disk)
        raise NexusError(
            f"The plan would write {bytes_text(wanted)} to {plan.run}, where {bytes_text(room)} may be used "
            f"(most: {names}). Free some disk, choose another --run-dir, raise run.disk, or use --sample-size."
        )
