"""Weights that are not finite, found by what a layer gives, which costs next to nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from nexus_specs import Extent, NexusError, Part
from torch import Tensor, nn

from .deferring import Deferred
from .taps import any_tensor


def watch(output: object, otherwise: Callable[[], None]) -> None:
    """Calls `otherwise` where the first tensor that a module gave is not finite: now, or when it is made."""
    given = any_tensor(output)
    if isinstance(given, Deferred):
        given.watch = lambda rows: None if finite(rows) else otherwise()
    elif given is not None and not finite(given):
        otherwise()


def finite(given: Tensor) -> bool:
    """Whether all numbers of a tensor are: by their sum, a tenth of the work of looking at each. One that overflows is
    a reason to look at the weights, no more."""
    return not given.is_floating_point() or math.isfinite(given.sum().item())


def check_finite(module: nn.Module, names: Iterable[str], extents: Iterable[Extent]) -> None:
    """NexusError that names the weight that is not finite, and the files that these weights were read from. Nothing
    where all are: some models give infinities where a mask hides them."""
    for name in names:
        weight = module.get_parameter(name)
        if not weight.is_meta:
            refuse_infinite(name, weight, extents)


def refuse_infinite(name: str, weight: Tensor, extents: Iterable[Extent]) -> None:
    """NexusError for a weight, or a part of one, that is not finite."""
    if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
        files = sorted({extent.file for extent in extents})
        raise NexusError(
            f"The weight '{name}' holds values that are not finite. It was read from "
            f"{', '.join(map(repr, files[:3]))}: fetch the file again. What was extracted stays."
        )


def check_whole(module: nn.Module, parts: Iterable[Part]) -> None:
    """Likewise of a model that is there as a whole: of its layers first, then of what belongs to none."""
    modules = dict(module.named_modules())
    for part in sorted(parts, key=lambda each: not each.path):
        if inside := modules.get(part.path):
            names = [f"{part.path}.{name}".lstrip(".") for name, _ in inside.named_parameters(remove_duplicate=False)]
            check_finite(module, names, part.extents)
