"""Whether a memory can hold what streaming takes at least, and how much would do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from nexus_specs import Checkpoint, Extent, NexusError
from nexus_torch.files import DTYPES
from nexus_torch.skeleton import holders
from torch import nn

from ..weights.stored import EXPERT
from ..weights.unit import Unit, meeting, running
from ..weights.units import Division
from .costs import SHARE
from .pieces import fused, making
from .predicting import KERNELS, one_sample


@dataclass(frozen=True)
class Fitting:
    """A checkpoint whose module is there without weights, and how it runs: in which dtype, and whether weights are
    copied to a device, so that what arrives is there as it runs and not as it is stored."""

    checkpoint: Checkpoint
    module: nn.Module
    dtype: torch.dtype
    copied: bool = False

    def divided(self, memory: int) -> Division:
        """Divided into units of which one runs and one arrives within a memory (0: layers stay whole). NexusError,
        before anything is read, where not even the smallest pieces fit."""
        beside = self._kernels if memory > 2 * self._kernels else 0
        most = self._most(SHARE * (memory - beside)) if memory else 0
        while self.needed(division := self._division(most)) > memory > 0:
            if most == 1:
                raise NexusError(self._too_little(division, memory))
            most = max(1, min(most // 2, self._most(memory - self._staying(division) - self._sample)))
        return division

    def needed(self, division: Division) -> int:
        """Bytes of what stays, of what comes and goes, and of one sample's states."""
        return self._staying(division) + self.passing(division.units.values()) + self._sample

    def passing(self, units: Collection[Unit]) -> int:
        """Bytes of a unit that runs with the one that arrives meanwhile, and of tables that stay when they were there:
        what is tied to them is read with them."""
        tied = holders(self.module)
        runs, arrives = dict[str, int](), dict[str, int]()
        staying, inside = 0, self._inside(units)
        for unit in units:
            size = running(self.module, unit)
            entered = inside.get(unit.path, 0)
            runs[unit.path] = max(round(size * self._making) + entered, size + unit.bytes * self._fuses(unit))
            arrives[unit.path] = size if self.copied else unit.bytes
            if _outlives(unit, tied):
                staying, runs[unit.path] = staying + size, 0
                arrives[unit.path] -= size if self._as_stored(unit) else 0          # it stays where it was read
        return staying + meeting(tuple(units), runs, arrives)

    def _inside(self, units: Collection[Unit]) -> dict[str, int]:
        """Bytes of what was entered last, and is still there, while experts come: what stands before them, or beside
        them in the same module and may run first (shared experts)."""
        beside, found, before = dict[str, int](), dict[str, int](), 0
        for unit in (each for each in units if not each.count):
            names = unit.path.split(".")
            for at in range(1, len(names)):
                around = ".".join(names[:at])
                beside[around] = max(beside.get(around, 0), running(self.module, unit))
        for unit in units:
            if unit.count:
                around = unit.module.rpartition(".")[0]
                found[unit.path] = 0 if unit.table else max(before, beside.get(around, 0))
            else:
                before = 0 if unit.table else running(self.module, unit)
        return found

    def _as_stored(self, unit: Unit) -> bool:
        return self.copied or all(DTYPES.get(extent.dtype) == self.dtype for extent in unit.part.extents)

    @property
    def _making(self) -> float:
        return making(self.checkpoint.blueprint)

    def _fuses(self, unit: Unit) -> bool:
        """Whether experts are put together, each from tensors of its own: then they are there as they are stored,
        too."""
        return any(EXPERT.match(extent.key) for extent in unit.part.extents)

    @property
    def _kernels(self) -> int:
        """What stays of running experts on different numbers of tokens."""
        return KERNELS if self.dtype == torch.bfloat16 and fused(self.checkpoint.blueprint) else 0

    @property
    def _sample(self) -> int:
        return one_sample(self.checkpoint.blueprint, self.dtype)

    def _division(self, most: int) -> Division:
        return Division(self.checkpoint, self.module, most)

    def _most(self, memory: float) -> int:
        """Stored bytes that a unit may have, so that one that runs and one that arrives fit in a memory."""
        blueprint = self.checkpoint.blueprint
        wide = max(1.0, self.dtype.itemsize * blueprint.parameters / max(1, blueprint.bytes))
        return max(1, round(memory / (wide * self._making + (wide if self.copied else 1.0))))

    def _staying(self, division: Division) -> int:
        return sum(self._wide(extent) for part in division.stay for extent in part.extents)

    def _wide(self, extent: Extent) -> int:
        """Bytes of a stored tensor in the dtype that it runs in."""
        stored, size = DTYPES.get(extent.dtype), extent.stop - extent.start
        if stored is None or not stored.is_floating_point or stored.itemsize < torch.bfloat16.itemsize:
            return size
        return size // stored.itemsize * self.dtype.itemsize

    def _too_little(self, division: Division, memory: int) -> str:
        largest = max(division.units.values(), key=lambda unit: running(self.module, unit) + unit.bytes, default=None)
        piece = "" if largest is None else (
            f"'{largest.path}' takes {spelt(running(self.module, largest))} while it runs and {spelt(largest.bytes)} "
            "while it arrives, "
        )  # fmt: skip
        return (
            f"A memory of {spelt(memory)} does not hold what '{self.checkpoint.blueprint.head}' takes layer by layer, "
            f"in the smallest pieces: {piece}{spelt(self._staying(division))} stay there, the states of one sample "
            f"take {spelt(self._sample)}. The least that would do is {spelt(self.needed(division))}: set run.memory, "
            "or --memory, to that or more."
        )


def _outlives(unit: Unit, tied: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a table that came whole is held by modules that run after it."""
    inside = f"{unit.path}."
    others = (each for name in unit.names for each in tied.get(name, ()))
    return unit.table and not unit.count and any(not each.startswith(inside) for each in others)


def spelt(count: int) -> str:
    """Bytes as they are typed, rounded up.

    >>> spelt(1_234_567), spelt(999_999), spelt(41), spelt(2_000_000_000)
    ('1.24MB', '1MB', '41 bytes', '2GB')
    """
    if count < 1000:
        return f"{count} bytes"
    unit, name = next(((unit, name) for unit, name in ((10**9, "GB"), (10**6, "MB")) if count >= unit), (1000, "KB"))
    hundredths = -(-count * 100 // unit)
    return f"{hundredths / 100:g}{name}" if hundredths < 100_000 or unit == 10**9 else spelt(1000 * unit)
