"""Weights that stay in float32 where the rest is narrower, as transformers' classes say of themselves."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import nn


def keeps_float32(module: nn.Module) -> Callable[[str], bool]:
    """Whether a weight or buffer of a model stays in float32, by its name in it (`_keep_in_fp32_modules_strict`)."""
    patterns = [each for part in module.modules() for each in getattr(part, "_keep_in_fp32_modules_strict", None) or ()]
    found = re.compile("|".join(rf"(?:^|\.){pattern}(?:$|\.)" for pattern in dict.fromkeys(patterns)) or r"(?!)")
    return lambda name: found.search(name) is not None


def kept_float32(module: nn.Module) -> dict[str, int]:
    """Parameters of each of these weights, by name; of those that are tied once."""
    keeps = keeps_float32(module)
    return {name: each.numel() for name, each in module.named_parameters() if keeps(name)}
