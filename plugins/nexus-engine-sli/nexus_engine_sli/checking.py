"""Weights that are not finite, found by what a layer gives, which costs next to nothing."""

from __future__ import annotations

import torch
from nexus_specs import NexusError
from torch import nn

from .taps import any_tensor
from .units import Unit


def finite(output: object) -> bool:
    """Whether what a module gave is finite, as far as it is a floating tensor."""
    hidden = any_tensor(output)
    return hidden is None or not hidden.is_floating_point() or bool(torch.isfinite(hidden).all())


def check_finite(module: nn.Module, unit: Unit) -> None:
    """NexusError that names the weight of a unit that is not finite, and its file. Nothing where all are: some models
    give infinities where a mask hides them."""
    for name in unit.names:
        weight = module.get_parameter(name)
        if not weight.is_meta and weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            files = sorted({extent.file for extent in unit.part.extents})
            raise NexusError(
                f"The weight '{name}' holds values that are not finite. It was read from "
                f"{', '.join(map(repr, files[:3]))}: fetch the file again. What was extracted stays."
            )
