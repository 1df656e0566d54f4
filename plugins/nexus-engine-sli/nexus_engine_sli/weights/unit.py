"""What is loaded and dropped at once, and what it takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nexus_specs import Part
from torch import nn

from .stored import stored


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
    table: bool = False
    """Whether it belongs to no layer: an embedding, a head."""
    looked_up: bool = False
    """Whether it is a whole table of which rows are only copied, in no time."""

    @property
    def bytes(self) -> int:
        """Stored bytes."""
        return stored(self.part.extents)

    @property
    def module(self) -> str:
        """The path of the module."""
        return self.path.partition("#")[0]

    def without(self, names: Collection[str]) -> Unit:
        """The same without some of its parameters."""
        return replace(self, names=tuple(name for name in self.names if name not in names)) if names else self


def meeting(units: Sequence[Unit], runs: Mapping[str, int], arrives: Mapping[str, int]) -> int:
    """Most bytes of a unit that runs and of one that arrives meanwhile, of what each takes by its path. Of tables only
    neighbours meet: the embedding and the head have all layers between them."""
    every, layers = [unit.path for unit in units], [unit.path for unit in units if not unit.table]
    pairs = [runs[one] + arrives[behind] for one, behind in pairwise(every)]
    for some, others in ((every, layers), (layers, every)):
        pairs.append(max((runs[each] for each in some), default=0) + max((arrives[each] for each in others), default=0))
    return max(pairs)


def running(module: nn.Module, unit: Unit) -> int:
    """Bytes of a unit while it runs."""
    whole = sum(each.numel() * each.dtype.itemsize for each in map(module.get_parameter, unit.names))
    return whole * unit.count // module.get_parameter(unit.names[0]).shape[0] if unit.count and unit.names else whole


def names_under(module: nn.Module, path: str) -> tuple[str, ...]:
    """Full names of the parameters below a module."""
    return tuple(f"{path}.{name}" for name, _ in module.get_submodule(path).named_parameters(remove_duplicate=False))
