"""What belongs to no layer and is large: embeddings, heads, convolutions before and behind stacks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from nexus_specs import Extent, Outside
from torch import Tensor, nn

from nexus_torch.precise import keeps_float32

LEAST = 1 << 21
"""Parameters from which on it is told: in float32 8 MiB, from which on an engine may let it come and go by itself."""


def outside(
    module: nn.Module, stacks: Mapping[str, Sequence[str]], stored: Iterable[Extent] = ()
) -> tuple[Outside, ...]:
    """Modules without children that are in no layer, in the order of the model; of those that share a weight the first.
    What has buffers is no such: who drops it would drop them. `stored`: what is stored beside layers, where that is
    known."""
    layers = frozenset(layer for each in stacks.values() for layer in each)
    holders: dict[int, int] = {}
    for each in module.modules():
        for own in each.parameters(recurse=False):
            holders[id(own)] = holders.get(id(own), 0) + 1
    found, behind, known, sizes = [], 0, set[int](), _sizes(stored)
    keeps = keeps_float32(module)
    for path, each in _beside(module, "", layers):
        behind += path in stacks
        weights = {id(own): own for own in each.parameters(recurse=False) if id(own) not in known}
        count = sum(own.numel() for own in weights.values())
        if count < LEAST or next(each.children(), None) is not None or next(each.buffers(), None) is not None:
            continue
        known.update(weights)
        shared = any(holders[own] > 1 for own in weights)
        size = _stored(path, list(weights.values()), sizes)
        wide = all(keeps(f"{path}.{name}") for name, _ in each.named_parameters(recurse=False))
        found.append(Outside(path=path, parameters=count, behind=behind, shared=shared, bytes=size, float32=wide))
    return tuple(found)


def _sizes(stored: Iterable[Extent]) -> dict[int, list[Extent]]:
    """Stored tensors, by how many numbers they have: their names may be others than the module's."""
    found: dict[int, list[Extent]] = {}
    for each in stored:
        found.setdefault(math.prod(each.shape), []).append(each)
    return found


def _stored(path: str, weights: Sequence[Tensor], sizes: Mapping[int, list[Extent]]) -> int:
    """Bytes of a module's weights; 0 where none is stored in as many numbers (packed ones)."""
    large = max(each.numel() for each in weights)
    alike = sizes.get(large, [])
    named = [each for each in alike if f".{path.rpartition('.')[2]}." in f".{each.key}."]
    return next((sum(each.numel() for each in weights) * (other.stop - other.start) // large
                 for other in (*named, *alike)), 0)  # fmt: skip


def _beside(module: nn.Module, path: str, layers: frozenset[str]) -> list[tuple[str, nn.Module]]:
    """Every module that is no layer and inside none, by its path."""
    if path in layers:
        return []
    inner = [(f"{path}.{name}" if path else name, each) for name, each in module.named_children()]
    return [(path, module), *(found for place, each in inner for found in _beside(each, place, layers))]
