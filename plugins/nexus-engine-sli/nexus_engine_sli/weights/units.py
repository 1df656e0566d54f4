"""A checkpoint divided into units: layers, and of the rest the large embeddings and heads. Where two layers do not fit
in memory, their parts: attention and MLP, one projection, some of the experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from nexus_specs import Checkpoint, Extent, Part
from nexus_torch.files import DTYPES
from torch import nn

from .standing import convolves, standing
from .stored import by_expert, one_expert, some_rows, stems, stored
from .unit import Unit, names_under

LARGE = 8 << 20
"""Bytes from which on what belongs to no layer is a unit of its own, or those that a unit may have if that is less; the
rest stays."""
SMALL = 1 << 20
"""Bytes up to which a part of a layer that is split stays, or an eighth of what a unit may have if that is less."""
ALIGNED = 256
"""Blocks of a table's rows are multiples of this many, and no fewer: kernels multiply so many columns alike, and all
batches pass every block."""


class Division:
    """Divides a checkpoint; `most` are the stored bytes that one unit may have (0: a layer stays whole)."""

    def __init__(self, checkpoint: Checkpoint, module: nn.Module, most: int = 0) -> None:
        self.checkpoint, self.module, self.most = checkpoint, module, most
        self.small, self.large = min(SMALL, most // 8), min(LARGE, most or LARGE)
        self.together: Mapping[str, str] = getattr(checkpoint, "together", {})
        """Of names of stored tensors that make one weight, the one under which they are found."""
        self.known = {path: at for at, (path, _) in enumerate(module.named_modules())}
        self.units: dict[str, Unit] = {}
        self.stay: list[Part] = []
        self.staying = self._standing()
        """Layers that stay: no forward waits for them."""
        for part in checkpoint.parts:
            if part.path in self.staying:
                self.stay.append(part)
            elif part.path in self.known and part.path:
                self._add(part)
            else:
                self._rest(part)
        order = sorted(self.units, key=lambda path: self.known[path.partition("#")[0]])     # groups stand in order
        inner = self._inner()
        self.units = {path: self.units[path].without(inner.get(path, ())) for path in order}

    def _standing(self) -> set[str]:
        """Those of stacks that are little, where sounds are convolved."""
        if not convolves(self.checkpoint.blueprint):
            return set()
        sizes = {part.path: stored(part.extents) for part in self.checkpoint.parts}
        stacks = {stack.path: stack.layers for stack in self.checkpoint.blueprint.stacks}
        known = {path: [sizes.get(layer, 0) for layer in layers] for path, layers in stacks.items()}
        return {layer for path in standing(known, self.most) for layer in stacks[path]}

    def _inner(self) -> dict[str, set[str]]:
        """Weights of units that stand inside other ones, by those: what is stored beside layers, and is large, may
        belong into one (SAM 3's tracker)."""
        found: dict[str, set[str]] = {}
        for unit in self.units.values():
            around = unit.module.rpartition(".")[0]
            while around:
                if around in self.units:
                    found.setdefault(around, set()).update(unit.names)
                around = around.rpartition(".")[0]
        return found

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
        for group in stems(part.extents, self.together).values():
            path = self._owner(part, group) if stored(group) >= self.large else ""
            leaf = self.module.get_submodule(path) if path in self.known else None
            if not path or leaf is None or list(leaf.children()):
                continue
            if self._rows(part, path, group):
                taken |= {extent.key for extent in group}
            elif not list(leaf.buffers()):
                inner = Part(path=path, extents=tuple(group))
                self.units[path] = Unit(
                    path=path, part=inner, names=names_under(self.module, path), table=True,
                    looked_up=isinstance(leaf, nn.Embedding),
                )  # fmt: skip
                taken |= {extent.key for extent in group}
        self.stay.append(replace(part, extents=tuple(each for each in part.extents if each.key not in taken)))

    def _children(self, part: Part) -> bool:
        """Splits a module into its children; False where it has none, or the loader cannot tell whose a tensor is."""
        found: dict[str, list[Extent]] = {}
        for group in stems(part.extents, self.together).values():
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
        small = [each for each in part.extents if each.stop - each.start <= self.small]
        if known != beside and self._made(part, small).keys() == beside:    # several make one
            little, known = small, beside
        if len(counts) != 1 or inner or known != beside:
            return False
        if little:
            self.stay.append(replace(part, extents=tuple(little)))
            kept = {each.key for each in little}
            part = replace(part, extents=tuple(each for each in part.extents if each.key not in kept))
        total = counts.pop()
        for mark, names, inner in self._by_weight(part, module, list(weights)):
            self._groups(inner, tuple(f"{part.path}.{name}" for name in names), total, mark)
        return True

    def _by_weight(
        self, part: Part, module: nn.Module, weights: Sequence[str]
    ) -> list[tuple[str, Sequence[str], Part]]:
        """What of the experts comes together: all of each; or, with a mark, one weight of all after the other, where
        the module multiplies them so."""
        together = [("", weights, part)]
        if not at_once(module):
            return together
        found = []
        for name in weights:
            own = self._makes(part, name)
            if not own:
                return together
            found.append((f"{name}.", [name], replace(part, extents=tuple(own))))
        taken = sorted(each.key for *_, inner in found for each in inner.extents)
        return found if taken == sorted(each.key for each in part.extents) else together

    def _makes(self, part: Part, name: str) -> Sequence[Extent]:
        """The stored tensors that make one weight and no other, by their names or as the loader has them together; none
        where there are no such."""
        named = [each for each in part.extents if each.key.rpartition(".")[2].startswith(name)]
        groups = (named, *stems(part.extents, self.together).values())
        return next((each for each in groups if each and self._made(part, each).keys() == {f"{part.path}.{name}"}), ())

    def _groups(self, part: Part, names: tuple[str, ...], total: int, mark: str) -> None:
        """Some of `total` experts at a time."""
        each = max(1, min(total, self.most * total // max(1, stored(part.extents))))
        numbered, fused = by_expert(part.extents)
        for first in range(0, total, each):
            count = min(each, total - first)
            some = [row for number in range(first, first + count) for row in numbered.get(number, ())]
            some += [(at, some_rows(extent, first, count, total)) for at, extent in fused]
            extents = tuple(extent for _, extent in sorted(some, key=lambda row: row[0]))
            path = f"{part.path}#{mark}{first}"
            inner = Part(path=part.path, extents=extents)
            self.units[path] = Unit(path=path, part=inner, names=names, first=first, count=count)

    def _rows(self, part: Part, path: str, group: Sequence[Extent]) -> bool:
        """Splits a table that is too large along its rows; False for what is none, or whose rows the loader does not
        leave as they are stored."""
        if not self.most or stored(group) <= self.most:
            return False
        leaf = self.module.get_submodule(path)
        names = [f"{path}.{name}" for name, _ in leaf.named_parameters()]
        table = isinstance(leaf, nn.Embedding) or type(leaf).forward is nn.Linear.forward
        if not table or len(names) != 1 or len(group) != 1:
            return False
        shape = tuple(next(leaf.parameters()).shape)
        (whole,), total = group, shape[0]
        if self._made(part, group) != {names[0]: shape} or whole.shape[:1] != (total,):
            return False
        each = max(min(ALIGNED, total), self.most * total // stored(group))
        each -= each % ALIGNED if each > ALIGNED else 0
        some = some_rows(whole, 0, each, total)
        if self._made(part, [some]) != {names[0]: (each, *shape[1:])}:
            return False
        for first in range(0, total, each):
            cut = some_rows(whole, first, min(each, total - first), total)
            name = f"{path}#{first}"
            self.units[name] = Unit(
                path=name, part=Part(path=path, extents=(cut,)), names=tuple(names), first=first, count=cut.shape[0],
                rows=True, table=True,
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
            return {name: tuple(each.shape) for name, each in made.items()}
        except Exception:                                   # loaders that compute with values fail in their own ways
            return {}

    def _owner(self, part: Part, group: Sequence[Extent]) -> str:
        """The module into which some stored tensors go, or that holds those into which they go, asked of the loader
        with tensors without values; "" where that cannot be known before they are read."""
        owners = {name.rpartition(".")[0] for name in self._made(part, one_expert(group))}
        found = owners.pop() if owners else ""
        while found and not all(f"{each}.".startswith(f"{found}.") for each in owners):
            found = found.rpartition(".")[0]
        return found


def at_once(experts: nn.Module) -> bool:
    """Whether a module multiplies all its experts in one product (Llama 4)."""
    code = getattr(type(experts).forward, "__code__", None)
    return code is not None and "bmm" in code.co_names
