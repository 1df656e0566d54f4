"""Whether stored weights are those of the model that a config.json describes: seen from the headers, before any is
read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nexus_specs import Extent, NexusError, Part
from torch import nn

from nexus_torch.skeleton import holders

SHOWN = 3
"""Layers that are named of those that are missing."""


def check_shapes(
    module: nn.Module, found: Mapping[str, Extent], targets: Mapping[str, tuple[str, Any]], name: str
) -> None:
    """NexusError for the first tensor that goes into a weight as it is and has another shape. `targets` are stored
    key -> (name in the module, pattern of a converter or None); `name` is the checkpoint's."""
    shapes = {path: tuple(each.shape) for path, each in module.named_parameters(remove_duplicate=False)}
    for key, (path, pattern) in targets.items():
        if pattern is None and key in found and path in shapes and tuple(found[key].shape) != shapes[path]:
            raise NexusError(
                f"The weight '{key}' of '{name}' has the shape {tuple(found[key].shape)}; by its config.json "
                f"{type(module).__name__} expects {shapes[path]}. It lies in '{found[key].file}'. Fetch config.json "
                "and weights from one place."
            )


def layers_without(module: nn.Module, parts: Sequence[Part], stored: Collection[str]) -> str:
    """Which layers have no weights in the files, in words, "" where all have some. `stored` are names of the module;
    a weight that is tied to a stored one counts as stored."""
    tied = holders(module)
    there = {name for path in stored for name in tied.get(path, (path,))}

    def lacks(path: str) -> bool:
        names = [f"{path}.{name}" for name, _ in module.get_submodule(path).named_parameters()]
        return bool(names) and there.isdisjoint(names)

    gone = [part.path for part in parts if part.path and not part.extents and lacks(part.path)]
    more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
    return f"weights of {', '.join(gone[:SHOWN])}{more}" if gone else ""
