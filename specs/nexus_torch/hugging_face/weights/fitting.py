"""Whether stored weights are those of the model that a config.json describes: seen from the headers, before any is
read."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Extent, NexusError, Part
from torch import nn

from nexus_torch.skeleton import holders, without_weights

from ..configuration.originals import elsewhere
from .constants import COMPUTED
from .unread import unread

SHOWN = 3
"""Layers that are named of those that are missing."""
WHOLE = frozenset({"BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64"})
"""What safetensors calls whole numbers."""


def no_weights(home: Path) -> str:
    """That none are there, in words, with those that other libraries read."""
    return "weights (*.safetensors)" + (f": what is there, {named}, is not read" if (named := elsewhere(home)) else "")


def check_shapes(
    module: nn.Module, found: Mapping[str, Extent], targets: Mapping[str, tuple[str, Any]], name: str
) -> None:
    """NexusError for the first tensor that goes into a weight as it is and has another shape. `targets` are stored
    key -> (name in the module, pattern of a converter or None); `name` is the checkpoint's."""
    weights = dict(module.named_parameters(remove_duplicate=False))
    shapes = {path: tuple(each.shape) for path, each in weights.items()}
    for key, (path, pattern) in targets.items():
        if key in found and path in weights and weights[path].is_floating_point() and found[key].dtype in WHOLE:
            raise NexusError(
                f"The weight '{key}' of '{name}' is stored as whole numbers ({found[key].dtype}), and its config.json "
                f"names no quantisation that says what they stand for. It lies in '{found[key].file}'. Fetch "
                "config.json and weights from one place."
            )
        if pattern is None and key in found and path in shapes and tuple(found[key].shape) != shapes[path]:
            raise NexusError(
                f"The weight '{key}' of '{name}' has the shape {tuple(found[key].shape)}; by its config.json "
                f"{type(module).__name__} expects {shapes[path]}. It lies in '{found[key].file}'. Fetch config.json "
                "and weights from one place."
            )


def tied(conversion: Any, keys: Sequence[str], stored: Collection[str]) -> set[str]:
    """Those of some names of stored tensors whose weight is tied to one that is stored: an index may name both, and the
    files hold one."""
    groups, named = holders(conversion.module), conversion.targets(list(keys))
    there = {target for target, *_ in conversion.targets(list(stored)).values()}
    return {key for key, (name, *_) in named.items() if len(group := groups.get(name, ())) > 1 and there & set(group)}


def untie(module: nn.Module, groups: Sequence[Collection[str]]) -> nn.Module:
    """The module, each of these names (of one tied weight) with a weight of its own; those that share it beside them
    stay with the first. Both of a tied pair are stored where only one of them was trained further: they differ,
    whatever config.json says, and transformers does not tie them either."""
    for names in groups:
        for name in list(names)[1:]:
            path, _, leaf = name.rpartition(".")
            owner = module.get_submodule(path)
            old = owner._parameters[leaf]
            assert old is not None
            with without_weights():
                owner._parameters[leaf] = nn.Parameter(torch.empty_like(old, device="meta"), requires_grad=False)
    return module


def stored_twice(module: nn.Module, stored: Collection[str]) -> list[list[str]]:
    """The names of each tied weight that has several in the files, where modules of their own have them."""
    found = []
    for group in dict.fromkeys(group for group in holders(module).values() if len(group) > 1):
        names = [name for name in group if name in stored]
        owners = {id(module.get_submodule(name.rpartition(".")[0])) for name in names}
        if len(names) > 1 and len(owners) == len(names) and all(_is_parameter(module, name) for name in names):
            found.append(names)
    return found


def _is_parameter(module: nn.Module, name: str) -> bool:
    path, _, leaf = name.rpartition(".")
    return leaf in module.get_submodule(path)._parameters


def buffers_without(module: nn.Module, stored: Collection[str]) -> str:
    """Which buffers that are learned or measured no file holds, in words; "" where none. Such a one is a constant until
    it is loaded (means of zero, corrections of zero), and part of the state; a class's own tables are neither."""
    tied, kept = holders(module), module.state_dict(keep_vars=True)
    ignored = [re.compile(each) for each in getattr(module, "_keys_to_ignore_on_load_missing", None) or ()]

    def lacks(name: str, tensor: torch.Tensor) -> bool:
        if isinstance(tensor, nn.Parameter) or not tensor.is_floating_point() or tensor.numel() < 2 or tensor.is_meta:
            return False
        if any(each in stored for each in tied.get(name, (name,))) or any(each.search(name) for each in ignored):
            return False
        return bool(((tensor == 0) | (tensor == 1)).all()) and bool((tensor == tensor.flatten()[0]).all())

    gone = [name for name, tensor in kept.items() if lacks(name, tensor)]
    more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
    return f"weights {', '.join(gone[:SHOWN])}{more}" if gone else ""


def weights_without(module: nn.Module, stored: Collection[str]) -> str:
    """Which parameters no file holds, in words; "" where none. Those that a class computes, or that no forward reads,
    are none of them."""
    tied, spare = holders(module), set(unread(module, stored))
    ignored = [re.compile(each) for each in getattr(module, "_keys_to_ignore_on_load_missing", None) or ()]
    computed = tuple(f"{path}." for path, each in module.named_modules() if COMPUTED.search(type(each).__name__))

    def lacks(name: str) -> bool:
        names = tied.get(name, (name,))
        known = any(each in stored or each in spare or each.startswith(computed) for each in names)
        return not known and not any(each.search(name) for each in ignored)

    gone = [name for name, _ in module.named_parameters() if lacks(name)]
    more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
    return f"weights {', '.join(gone[:SHOWN])}{more}" if gone else ""


def experts_without(module: nn.Module, targets: Mapping[str, tuple[str, Any]]) -> str:
    """Which stored weights of single experts no file holds, in words; "" where all are there. `targets` are stored key
    -> (name in the module, pattern of a converter or None): of a pattern with a star as many keys make one weight as
    it has experts. NexusError for more of them."""
    weights, groups = dict(module.named_parameters(remove_duplicate=False)), dict[tuple[str, str], dict[int, str]]()
    for key, (name, pattern) in targets.items():
        if isinstance(pattern, str) and pattern.count("*") == 1 and name in weights and weights[name].ndim == 3:
            before, after = (re.escape(each.replace("\\.", ".")) for each in pattern.split("*"))
            if found := re.search(rf"{before}(\d+){after}", key):
                groups.setdefault((name, pattern), {})[int(found[1])] = key
    gone = []
    for (name, pattern), keys in groups.items():
        count, (number, key) = weights[name].shape[0], next(iter(keys.items()))
        before, after = pattern.replace("\\.", ".").split("*")
        named = [key.replace(f"{before}{number}{after}", f"{before}{each}{after}") for each in range(count)]
        if more := [keys[each] for each in keys if each >= count]:
            raise NexusError(
                f"The files hold '{more[0]}', and config.json says that there are {count} of its kind. Fetch both from "
                "one place."
            )
        gone += [each for at, each in enumerate(named) if at not in keys]
    more_gone = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
    return f"weights {', '.join(gone[:SHOWN])}{more_gone}" if gone else ""


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
