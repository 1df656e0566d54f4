"""Layers that are not run, or do not hold their states, as others: SqueezeBERT's. Their holder runs their `forward`
itself, past every hook, so that nobody could look at them; and as convolutions they hold channels before tokens."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from torch import nn

MODULES = nn.Module.__call__.__code__.co_filename
"""Where torch calls a module's forward from."""


def called(module: nn.Module) -> None:
    """Such layers run as modules do, whoever runs them."""
    for holder in module.modules():
        names = getattr(inspect.unwrap(type(holder).forward), "__code__", called.__code__).co_names
        if "forward" in names and "super" not in names:
            lists = [each for each in holder.children() if isinstance(each, nn.ModuleList)]
            for layer in (layer for each in lists for layer in each):
                layer.forward = _through(layer)


def across(module: nn.Module, stacks: Iterable[str]) -> tuple[str, ...]:
    """Stacks whose layers compute with convolutions over tokens alone: their states are [B, D, T]."""
    kinds = {path: {type(each) for each in module.get_submodule(path).modules()} for path in stacks}
    return tuple(path for path, found in kinds.items() if nn.Conv1d in found and nn.Linear not in found)


def _through(layer: nn.Module) -> Callable[..., Any]:
    own, runs = layer.forward, ContextVar("runs", default=False)    # by greenlet: forwards are suspended within layers

    def forward(*given: Any, **more: Any) -> Any:
        if runs.get() or sys._getframe(1).f_code.co_filename == MODULES:
            return own(*given, **more)
        before = runs.set(True)
        try:
            return layer(*given, **more)
        finally:
            runs.reset(before)

    return forward
