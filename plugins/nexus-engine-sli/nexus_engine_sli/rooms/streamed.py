"""Streaming: one unit of a checkpoint in memory at a time, the next one on its way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace

import torch
from nexus_specs import Budget, Checkpoint, Part
from nexus_torch.precise import keeps_float32
from nexus_torch.skeleton import absent, empty, fill
from torch import Tensor

from ..files.disk import Disk
from ..files.fetching import files_for
from ..files.reading import Reader, buffers_for
from ..memory.allocating import allow, give_back, map_large_blocks, mapping_finely
from ..memory.trimming import trim_between
from ..planning.fitting import Fitting
from ..planning.working import slack
from ..weights.checking import Finder, watch
from ..weights.groups import Groups
from ..weights.placing import Placing, bare, one_by_one
from ..weights.unit import Unit, running
from .ahead import Order
from .changes import Changes
from .demand import Awaited
from .resident import complete, packed, quantised
from .transport import Coming, transport


class Streamed:
    """Small things that belong to no layer stay; units come one at a time, and threads read the next one meanwhile.

    A unit that a model comes back to (shared layers, loops) is kept from then on, if `budget.memory` has room for it
    beside two of the largest.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str, dtype: torch.dtype = torch.float32, quantise: str = "",
        budget: Budget | None = None,
    ) -> None:  # fmt: skip
        map_large_blocks()
        self.device, self.dtype, self.quantise = device, dtype, quantise
        self.memory = budget.memory if budget else 0
        self.unpacks = bool(checkpoint.blueprint.quantisation)
        self.module = bare(checkpoint, device, dtype)
        self.placing = Placing(checkpoint, self.module, device, keeps_float32(self.module))
        fitting = Fitting(checkpoint, self.module, dtype, copied=torch.device(device).type != "cpu")
        division = fitting.divided(self.memory)
        self.units, self.stays, self.staying = division.units, division.stay, division.staying
        self.layers = tuple(layer for stack in checkpoint.blueprint.stacks for layer in stack.layers)
        if any(unit.count and not unit.rows for unit in self.units.values()):
            one_by_one(self.module)
        self.order = list(self.units)
        self.sequence = Order(self.order)
        groups = [part.extents for part in (*self.stays, *(unit.part for unit in self.units.values()))]
        self.disk = Disk(budget.disk if budget else 0)
        self.files = files_for(groups, budget, small=len(self.stays), disk=self.disk)
        self.reader = Reader(self.files, buffers_for(device))
        self.reader.watch({extent.file for group in groups for extent in group})
        self.finder = Finder(checkpoint, self.reader.read)
        self.transport = transport(device, self._begin, self._make)
        self.inside, self.borrowed = "", set[str]()
        self.seen = set[str]()
        """Units whose weights were looked at, since what they gave is not finite."""
        self.kept, self.changes, self.loads = set[str](), Changes(), list[str]()
        """Units in the order in which they were brought, for those who check that it was once each."""
        self._settle()
        self.passing = fitting.passing(self.units.values())
        allow(slack(self.weights))
        trim_between(self.module, checkpoint.blueprint.parameters, slack(self.weights))

    def _settle(self) -> None:
        """Reads what stays; all else is absent from here on."""
        for part in self.stays:
            names = self._fill(part, "", self.reader.read(part.extents))
            self.finder.check(self.module, set(names) & self.placing.weights, part)     # nobody looks at them later
            if self.quantise and self._in_a_layer(part.path):
                quantised(self.module.get_submodule(part.path), self.quantise)
        there = {name for name, each in self.module.named_parameters(remove_duplicate=False) if not each.is_meta}
        self.units = {
            path: replace(unit, names=tuple(name for name in unit.names if name not in there))
            for path, unit in self.units.items()
        }
        self.groups = Groups(self.units, self._holders)
        held = {name for unit in self.units.values() for name in unit.names} | set(self.groups.units)
        self._empty({each for name in held for each in self._holders(name)})
        complete([name for name in absent(self.module) if not held & set(self._holders(name))], "")
        self.sizes = {path: running(self.module, unit) for path, unit in self.units.items()}
        stay = (each for each in self.module.parameters() if not each.is_meta)
        self.rest = sum(each.numel() * each.dtype.itemsize for each in stay)

    @property
    def read_bytes(self) -> int:
        """Bytes that came from files."""
        return self.reader.bytes

    def enter(self, path: str) -> None:
        """Drops what is there, brings this unit, and sends for the one after it."""
        if path not in self.units or path == self.inside:
            return
        there = self._leave(path)
        self.reader.buffers.sweep()
        apart = self.unpacks or self.units[path].table      # what comes takes none of the pages that a layer left
        give_back(0 if apart else None)
        self.sequence.entered(path, self.inside)
        self.inside = ""                                    # reading may fail, and who tries again begins here
        self.files.reach(self.units[path].part.extents)
        if not there:
            self._bring(path)
        self.inside = path
        self._expect(path)

    def borrow(self, path: str) -> None:
        """Beside what is inside, until another unit is entered."""
        if path in self.units and self.units[path].count:
            self._bring(path)
        elif path in self.units and path != self.inside and path not in self.borrowed:
            self.borrowed.add(path)
            self._bring(path)

    @property
    def weights(self) -> int:
        """Bytes of what stays, or will, and of a unit that runs with the one that arrives."""
        return self.rest + self.passing

    def passed(self, path: str, output: object) -> None:
        """A unit gave an output. NexusError where it is not finite because its weights are not."""
        if path in self.units and path not in self.seen and self.transport.suspect(path):
            watch(output, lambda: self._suspect(path))

    def _suspect(self, path: str) -> None:
        if path not in self.seen:
            self.seen.add(path)
            self.finder.check(self.module, self.units[path].names, self.units[path].part)

    def units_of(self, name: str) -> tuple[str, ...]:
        """The units that hold a weight, or one that is tied to it."""
        names = set(self._holders(name))
        return tuple(path for path, unit in self.units.items() if not unit.count and names.intersection(unit.names))

    def files_before(self, path: str) -> tuple[str, ...]:
        """The files from which came what stays, and the units before one."""
        parts = (*self.stays, *(self.units[each].part for each in self.sequence.until(path)))
        return tuple(sorted({extent.file for part in parts for extent in part.extents}))

    def close(self) -> None:
        """Waits for the threads that read and copy; the heap may grow as usual again."""
        self.transport.close()
        self.reader.close()
        allow()

    def _bring_group(self, unit: Unit) -> None:
        """Some experts, or rows, in the place of those before them."""
        self.transport.settle()
        self.groups.drop(unit)
        self.files.reach(unit.part.extents)
        made = self.transport.take(unit)
        self.loads.append(unit.path)
        pack = self.quantise and not unit.rows
        for name, each in made.items():                     # looked at now: what a group gives passes no hook
            self.finder.refuse(name, each, unit.part)
        self.groups.put(unit, {name: packed(each, self.quantise) if pack else each for name, each in made.items()})
        self._expect(unit.path)

    def _bring(self, path: str) -> None:
        unit = self.units[path]
        if path in self.kept:
            return
        if unit.count:
            self._bring_group(unit)
            return
        if self._from_tied(unit):
            self.transport.forget(unit)
        else:
            self.placing.put(unit.part, self.transport.take(unit), path)
            self.loads.append(path)
            self.changes.apply(self.module, unit.names)
        missing = [name for name in unit.names if self.module.get_parameter(name).is_meta]
        for other in dict.fromkeys(each for name in missing for each in self.units_of(name)):
            if other != path and other not in self.borrowed:
                self.borrow(other)                          # tied to a weight that is stored with another unit
        complete([name for name in missing if self.module.get_parameter(name).is_meta], path)
        if self.quantise and self._in_a_layer(path):
            self.transport.settle()
            self.finder.check(self.module, unit.names, unit.part)       # packed, it would be finite
            quantised(self.module.get_submodule(path), self.quantise)
        if path in self.sequence.left and self._has_room(unit):
            self.kept.add(path)

    def _in_a_layer(self, path: str) -> bool:
        """Whether a unit is a layer or a part of one: embeddings and heads are never quantised."""
        return any(f"{path}.".startswith(f"{layer}.") for layer in self.layers)

    def _from_tied(self, unit: Unit) -> bool:
        """Whether all weights of a unit are still there under other names, and are now under these too."""
        found: dict[str, Tensor] = {}
        for name in unit.names:
            tensors = (self.module.get_parameter(each) for each in self._holders(name))
            there = next((each for each in tensors if not each.is_meta), None)
            if there is None:
                return False
            found[name] = there.data
        fill(self.module, found, {}, frozen=False)
        return True

    def _begin(self, unit: Unit) -> Coming:
        return self.reader.send_for(unit.part.extents, once=unit.table and not unit.rows)

    def _make(self, unit: Unit, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with mapping_finely() if self.unpacks else nullcontext():
            return self.placing.made(unit.part, raw, "" if unit.rows else unit.module)

    def _expect(self, path: str) -> None:
        """Begins to bring what comes after a unit."""
        self.sequence.came(path)
        if not self.units[path].looked_up:                  # that takes no time in which more could arrive
            following = self.sequence.following(path, self.transport.ahead, self.kept | self.borrowed)
            self.transport.expect([self.units[each] for each in following])

    def _leave(self, then: str) -> bool:
        """What is there goes, but for what was borrowed and is entered now; -> whether it is there."""
        self.transport.settle()
        gone = ({self.inside} if self.inside else set()) | self.borrowed - {then}
        there = then in self.borrowed
        self.sequence.left |= gone
        self.borrowed = set()
        self.groups.clear()
        self._empty(name for path in gone - self.kept for name in self.units[path].names)
        return there and not any(self.module.get_parameter(name).is_meta for name in self.units[then].names)

    def _has_room(self, unit: Unit) -> bool:
        """Whether a unit may stay beside what stays already and two of the largest."""
        kept = sum(self.sizes[path] for path in self.kept)
        return not self.memory or self.weights + kept + self.sizes[unit.path] <= self.memory

    def _fill(self, part: Part, path: str, raw: dict[str, Tensor]) -> list[str]:
        names = self.placing.fill(part, raw, path)
        if self.placing.device != "cpu":
            torch.accelerator.synchronize()                 # the buffer is read into again
        return names

    def _empty(self, names: Iterable[str]) -> None:
        empty(self.module, names, self._awaited)

    def _awaited(self, like: Tensor) -> Awaited:
        made = Awaited(torch.empty_like(like, device="meta"), requires_grad=False)
        made.source = self
        return made

    def _holders(self, name: str) -> tuple[str, ...]:
        return self.placing.tied.get(name, (name,))
