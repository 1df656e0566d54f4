"""Modules that compute in float32, whatever the rest computes in: routers of experts, and what mixes the streams of
DeepSeek-V4. Their classes ask for it product by product, which autocast does not hear. In bfloat16 another expert is
chosen wherever two are nearly as good."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import torch
from torch import nn

EXACT = re.compile(
    r"F\.linear\((?:[^()]|\([^()]*\))+,\s*self\.[\w.]+\.(?:float\(\)|(?:type|to)\((?:dtype=)?torch\.float32\)),?\s*\)"
)
"""A product of which a forward asks for the weight in float32 (DeepSeek-V3, GLM 4.5, Hy3, ...), and so for its states:
torch multiplies no others with it."""


def routed_exactly(module: nn.Module) -> None:
    """Such modules compute without autocast."""
    for each in module.modules():
        if not type(each).__module__.startswith("torch.") and _asks(type(each).forward):
            each.forward = _without_autocast(each.forward)


@cache
def _asks(forward: Callable[..., Any]) -> bool:
    try:
        return EXACT.search(inspect.getsource(forward)) is not None
    except (OSError, TypeError):                            # a class that was made as it runs has no source
        return False


def _without_autocast(own: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(own)
    def forward(states: torch.Tensor, *given: Any, **more: Any) -> Any:
        if states.is_meta:                                  # followed for its shapes alone: no kind of device
            return own(states, *given, **more)
        with torch.autocast(states.device.type, enabled=False):
            return own(states, *given, **more)

    return forward
