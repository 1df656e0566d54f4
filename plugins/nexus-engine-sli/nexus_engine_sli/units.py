"""What is loaded and dropped at once: layers, and of the rest the large embeddings and heads. Where two layers do not
fit in memory, their parts: attention and MLP, one projection, some of the experts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from nexus_specs import Checkpoint, Extent, Part
from nexus_torch.files import DTYPES
from torch import nn

LARGE = 8 << 20
"""Bytes from which on what belongs to no layer is a unit of its own, or those that a unit may have if that is less; the
rest stays."""
SMALL = 1 << 20
"""Bytes up to which a part of a layer that is split stays, or an eighth of what a unit may have if that is less."""
ALIGNED = 256
"""Blocks of a table's rows are multiples of this many, and no fewer: kernels multiply so many columns alike, and all
batches pass every block."""
EXPERT = re.compile(r"^(?P<experts>.*\.experts)\.(?P<number>\d+)(?:\.|$)")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A module whose weights come and go together; or some experts, or some rows of a table (`first` on), which come
    when one of them is asked for."""

    path: str
    part: Part
    names: tuple[str, ...]
    """Full names of its parameters."""
    first: int = -1
    count: int = 0
    rows: bool = False
    """Whether it holds rows of a table."""

    @property
    def bytes(self) -> int:
        """Stored bytes."""
        return stored(self.part.extents)

    @property
    def module(self) -> str:
        """The path of the module."""
        return self.path.partition("#")[0]


def stored(extents: Iterable[Extent]) -> int:
    """Bytes of some extents."""
    return sum(extent.stop - extent.start for extent in extents)


class Division:
    """Divides a checkpoint; `most` are the stored bytes that one unit may have (0: a layer stays whole)."""

    def __init__(self, checkpoint: Checkpoint, module: nn.Module, most: int = 0) -> None:
        self.checkpoint, self.module, self.most = checkpoint, module, most
        self.small, self.large = min(SMALL, most // 8), min(LARGE, most or LARGE)
        self.known = {path: at for at, (path, _) in enumerate(module.named_modules())}
        self.units: dict[str, Unit] = {}
        self.stay: list[Part] = []
        for part in checkpoint.parts:
            if part.path in self.known and part.path:
                self._add(part)
            else:
                self._rest(part)
        order = sorted(self.units, key=lambda path: (self.known[path.partition("#")[0]], self.units[path].first))
        self.units = {path: self.units[path] for path in order}

    def _add(self, part: Part) -> None:
        """A unit, or the units that it falls into."""
        if not self.most or stored(part.extents) <= self.most:
            self.units[part.path] = Unit(path=part.path, part=part, names=names_under(self.module, part.path))
            return
        if self._experts(part) or self._children(part):
            return
        self.units[part.path] = Unit(path=part.path, part=part, names=names_under(self.module, part.path))

    def _rest(self, part: Part) -> None:
        """Of what belongs to no layer: modules without children whose weights are large."""
        taken: set[str] = set()
        for group in _stems(part.extents).values():
            path = self._owner(part, group) if stored(group) >= self.large else ""
            leaf = self.module.get_submodule(path) if path in self.known else None
            if not path or leaf is None or list(leaf.children()):
                continue
            if self._rows(part, path, group):
                taken |= {extent.key for extent in group}
            elif not list(leaf.buffers()):
                self.units[path] = Unit(
                    path=path, part=Part(path=path, extents=tuple(group)), names=names_under(self.module, path)
                )
                taken |= {extent.key for extent in group}
        self.stay.append(replace(part, extents=tuple(each for each in part.extents if each.key not in taken)))

    def _children(self, part: Part) -> bool:
        """Splits a module into its children; False where it has none, or the loader cannot tell whose a tensor is."""
        found: dict[str, list[Extent]] = {}
        for group in _stems(part.extents).values():
            owner = self._owner(part, group)
            if not owner.startswith(f"{part.path}."):
                if stored(group) > self.small:
                    return False
                owner = ""
            child = ".".join(owner.split(".")[: part.path.count(".") + 2]) if owner else ""
            found.setdefault(child, []).extend(group)
        if not any(found):
            return False
        for child, group in found.items():
            inner = Part(path=child, extents=tuple(group))
            if child and stored(group) > self.small:
                self._add(inner)
            else:
                self.stay.append(replace(inner, path=part.path))
        return True

    def _experts(self, part: Part) -> bool:
        """Splits a module with experts along its first dimension; their biases, which are little, stay. False for any
        other."""
        module = self.module.get_submodule(part.path)
        every = dict(module.named_parameters(recurse=False))
        weights = {name: weight for name, weight in every.items() if weight.ndim == 3}
        counts = {weight.shape[0] for weight in weights.values()}
        inner = len(list(module.parameters())) != len(every)
        beside = {f"{part.path}.{name}" for name in every.keys() - weights.keys()}
        little = [each for each in part.extents if (made := self._made(part, [each])) and made.keys() <= beside]
        known = {name for each in little for name in self._made(part, [each])}
        if len(counts) != 1 or inner or known != beside:
            return False
        if little:
            self.stay.append(replace(part, extents=tuple(little)))
            kept = {each.key for each in little}
            part = replace(part, extents=tuple(each for each in part.extents if each.key not in kept))
        total = counts.pop()
        each = max(1, min(total, self.most * total // max(1, stored(part.extents))))
        numbered, fused = _by_expert(part.extents)
        for first in range(0, total, each):
            count = min(each, total - first)
            some = [row for number in range(first, first + count) for row in numbered.get(number, ())]
            some += [(at, _cut(extent, first, count, total)) for at, extent in fused]
            extents = tuple(extent for _, extent in sorted(some, key=lambda row: row[0]))
            path = f"{part.path}#{first}"
            names = tuple(f"{part.path}.{name}" for name in weights)
            inner = Part(path=part.path, extents=extents)
            self.units[path] = Unit(path=path, part=inner, names=names, first=first, count=count)
        return True

    def _rows(self, part: Part, path: str, group: Sequence[Extent]) -> bool:
        """Splits a table that is too large along its rows; False for what is none, or whose rows the loader does not
        leave as they are stored."""
        if not self.most or stored(group) <= self.most:
            return False
        leaf = self.module.get_submodule(path)
        names = [f"{path}.{name}" for name, _ in leaf.named_parameters()]
        table = isinstance(leaf, nn.Embedding) or type(leaf).forward is nn.Linear.forward
        if not table or len(names) != 1 or [each.shape for each in group] != [next(leaf.parameters()).shape]:
            return False
        (whole,), total = group, group[0].shape[0]
        each = max(min(ALIGNED, total), self.most * total // stored(group))
        each -= each % ALIGNED if each > ALIGNED else 0
        some = _cut(whole, 0, each, total)
        if self._made(part, [some]) != {names[0]: some.shape}:
            return False
        for first in range(0, total, each):
            cut = _cut(whole, first, min(each, total - first), total)
            name = f"{path}#{first}"
            self.units[name] = Unit(
                path=name, part=Part(path=path, extents=(cut,)), names=tuple(names), first=first, count=cut.shape[0],
                rows=True,
            )  # fmt: skip
        return True

    def _made(self, part: Part, group: Sequence[Extent]) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what a loader makes of stored tensors, asked with tensors without values; {} where that
        cannot be known before they are read."""
        raw: Mapping[str, torch.Tensor] = {
            each.key: torch.empty(each.shape, dtype=DTYPES.get(each.dtype), device="meta") for each in group
        }
        try:
            made = self.checkpoint.assemble(replace(part, extents=tuple(group)), raw)
        except Exception:                                   # loaders that compute with values fail in their own ways
            return {}
        return {name: tuple(each.shape) for name, each in made.items()}

    def _owner(self, part: Part, group: Sequence[Extent]) -> str:
        """The one module into which some stored tensors go, asked of the loader with tensors without values; "" where
        that cannot be known before they are read."""
        owners = {name.rpartition(".")[0] for name in self._made(part, _one_expert(group))}
        return owners.pop() if len(owners) == 1 else ""


def running(module: nn.Module, unit: Unit) -> int:
    """Bytes of a unit while it runs."""
    whole = sum(each.numel() * each.dtype.itemsize for each in map(module.get_parameter, unit.names))
    return whole * unit.count // module.get_parameter(unit.names[0]).shape[0] if unit.count and unit.names else whole


def names_under(module: nn.Module, path: str) -> tuple[str, ...]:
    """Full names of the parameters below a module."""
    return tuple(f"{path}.{name}" for name, _ in module.get_submodule(path).named_parameters(remove_duplicate=False))


def _stems(extents: Iterable[Extent]) -> dict[str, list[Extent]]:
    """Tensors that belong together: of one module in the file, all experts of one list."""
    groups: dict[str, list[Extent]] = {}
    for extent in extents:
        found = EXPERT.match(extent.key)
        groups.setdefault(found["experts"] if found else extent.key.rpartition(".")[0], []).append(extent)
    return groups


def _one_expert(group: Sequence[Extent]) -> list[Extent]:
    """The tensors of the first expert alone: where one goes, all go."""
    numbers = {extent.key: found["number"] for extent in group if (found := EXPERT.match(extent.key))}
    first = next(iter(numbers.values()), "")
    return [extent for extent in group if numbers.get(extent.key, first) == first]


def _by_expert(extents: Iterable[Extent]) -> tuple[dict[int, list[tuple[int, Extent]]], list[tuple[int, Extent]]]:
    """Stored tensors that belong to one expert, by its number, and those that hold something of all; with their
    places."""
    numbered: dict[int, list[tuple[int, Extent]]] = {}
    fused: list[tuple[int, Extent]] = []
    for at, extent in enumerate(extents):
        found = EXPERT.match(extent.key)
        (numbered.setdefault(int(found["number"]), []) if found else fused).append((at, extent))
    return numbered, fused


def _cut(extent: Extent, first: int, count: int, total: int) -> Extent:
    """Some rows of a stored tensor that has one for each expert, or for each word; all of any other."""
    if not extent.shape or extent.shape[0] != total:
        return extent
    row = (extent.stop - extent.start) // total
    return replace(
        extent, start=extent.start + first * row, stop=extent.start + (first + count) * row,
        shape=(count, *extent.shape[1:]),
    )  # fmt: skip
