"""How a tower reaches into a frozen core: which towers act is known to the forward alone, never to the core's weights.

A forward sets `ROUTE`. Every linear layer of the core asks it for the change of its weight, every decoder layer for
what cross-attention adds behind it. Without a route the core computes exactly what it computes alone.

It is a context variable, since an engine may hold several forwards open at once, each in a greenlet of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

if TYPE_CHECKING:
    from .tower import TowerModule

ROUTE: ContextVar[Route | None] = ContextVar("nexus_route", default=None)


@dataclass(frozen=True)
class Route:
    """The towers that act in one forward, each with its weight, and what a perceiving tower saw."""

    towers: tuple[tuple[TowerModule, float], ...]
    latents: Tensor | None = None
    """[B, n, D]"""
    folded: dict[str, Tensor] | None = field(default=None, compare=False)
    """Weights with the towers folded in, kept while one answer is generated."""

    def weight(self, path: str, weight: Tensor) -> Tensor:
        """The core's weight [out, in] with the change of the towers in it; the same tensor where none changes it."""
        if self.folded is not None and path in self.folded:
            return self.folded[path]
        changed = weight
        for tower, share in self.towers:
            if (delta := tower.delta(path)) is not None:
                changed = torch.add(changed, delta.to(weight.dtype), alpha=share)
        if self.folded is not None:
            self.folded[path] = changed
        return changed

    def behind(self, layer: int, output: Any) -> Any:
        """A decoder layer's output with what the towers' cross-attention adds."""
        if self.latents is None:
            return output
        hidden = output[0] if isinstance(output, tuple) else output
        for tower, share in self.towers:
            hidden = tower.seen(layer, hidden, self.latents, share)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


class AdaptedLinear(nn.Linear):
    """A linear layer whose weight the active towers change for the time of one forward."""

    nexus_path: str

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] -> [..., out]"""
        route = ROUTE.get()
        weight = self.weight if route is None else route.weight(self.nexus_path, self.weight)
        return functional.linear(input, weight, self.bias)


class AdaptedConv1D(Conv1D):
    """The same for GPT-2's transposed linear layer."""

    nexus_path: str

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]"""
        route = ROUTE.get()
        if route is None:
            return super().forward(x)
        return functional.linear(x, route.weight(self.nexus_path, self.weight.T), self.bias)


class AdaptedLayer:
    """Mixed into a decoder layer's class: lets the active towers look in."""

    nexus_index: int

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer gives, and what the towers add."""
        output = super().forward(*args, **kwargs)  # type: ignore[misc]
        route = ROUTE.get()
        return output if route is None else route.behind(self.nexus_index, output)


def adapt(core: nn.Module, layers: Iterable[str]) -> tuple[str, ...]:
    """Makes a core's layers ask for the route; returns the paths of its linear layers. No weight, no name changes."""
    paths = []
    for index, path in enumerate(layers):
        layer = core.get_submodule(path)
        for name, module in layer.named_modules():
            if type(module) in _ADAPTED:
                module.__class__ = _ADAPTED[type(module)]
                module.nexus_path = f"{path}.{name}"
                paths.append(module.nexus_path)
        layer.__class__ = _adapted_layer(type(layer))
        layer.nexus_index = index
    return tuple(paths)


_ADAPTED: dict[type, type] = {nn.Linear: AdaptedLinear, Conv1D: AdaptedConv1D}


@cache
def _adapted_layer(kind: type) -> type:
    return type(f"Adapted{kind.__name__}", (AdaptedLayer, kind), {})
