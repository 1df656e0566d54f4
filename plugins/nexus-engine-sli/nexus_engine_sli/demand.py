"""Weights that are not there and come when they are used: models reach into other layers than the one that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import greenlet
import torch
from nexus_torch.skeleton import HARMLESS, Absent
from torch import Tensor, nn

CONTENT = frozenset({"T", "mT", "H", "mH", "data", "real", "imag"})
"""Attributes of a tensor that are made of its values."""


class Source(Protocol):
    """Where weights come from."""

    device: str
    module: nn.Module

    def units_of(self, name: str) -> tuple[str, ...]:
        """The units that may bring a weight."""

    def write(self, name: str, writer: object, change: Callable[[Tensor], object]) -> bool:
        """Remembers a change of a weight for when it comes. False where another forward has changed it before."""

    def expert(self, name: str, number: int, wait: Callable[[str], None]) -> Tensor | None:
        """One expert of a weight that comes in groups of them."""


class Awaited(Absent):
    """An absent weight of a streamed model. Arithmetic with it, inside a forward that the hub leads, waits until the
    hub has brought its unit; a number that is written into it is written each time that it comes."""

    source: Source

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Shapes and dtypes answer at once; NexusError where nobody can wait."""
        name = getattr(func, "__name__", "")
        attribute = getattr(getattr(func, "__self__", None), "__name__", "") if name == "__get__" else ""
        if attribute == "device" and isinstance(args[0], Awaited):
            return torch.device(args[0].source.device)
        if name in HARMLESS and attribute not in CONTENT:
            return super().__torch_function__(func, types, args, kwargs or {})
        run = greenlet.getcurrent()
        wait = getattr(run, "need", None)
        if wait is None or "out" in (kwargs or {}):
            return super().__torch_function__(func, types, args, kwargs or {})
        if name.endswith("_") and not name.endswith("__"):
            others = [each for each in (*args[1:], *(kwargs or {}).values()) if isinstance(each, Tensor)]
            write = args[0].source.write
            if others or not write(args[0].name, run, lambda each: func(each, *args[1:], **kwargs or {})):
                return super().__torch_function__(func, types, args, kwargs or {})
            return args[0]
        if name == "__getitem__" and isinstance(args[0], Awaited) and _is_number(args[1]):
            one = args[0].source.expert(args[0].name, int(args[1]), wait)
            if one is not None:
                return one
        found: dict[str, Tensor] = {}
        for each in _inside((args, kwargs or {})):
            if each.name not in found:
                found[each.name] = _brought(each, wait)
        return func(*_replaced(args, found), **_replaced(kwargs or {}, found))


def _is_number(index: Any) -> bool:
    return isinstance(index, int) or (isinstance(index, Tensor) and index.ndim == 0)


def _brought(weight: Awaited, wait: Any) -> Tensor:
    for path in ("", *weight.source.units_of(weight.name)):
        if path:
            wait(path)
        tensor = weight.source.module.get_parameter(weight.name)
        if not isinstance(tensor, Absent):
            return tensor
    return super(Awaited, weight).__torch_function__(torch.neg, (Absent,), (weight,))  # type: ignore[no-any-return]


def _inside(value: Any) -> list[Awaited]:
    if isinstance(value, Awaited):
        return [value]
    if isinstance(value, (list, tuple)):
        return [found for each in value for found in _inside(each)]
    return [found for each in value.values() for found in _inside(each)] if isinstance(value, dict) else []


def _replaced(value: Any, found: dict[str, Tensor]) -> Any:
    if isinstance(value, Awaited):
        return found[value.name]
    if isinstance(value, (list, tuple)):
        made = [_replaced(each, found) for each in value]
        return made if isinstance(value, list) else tuple(made)
    return {name: _replaced(each, found) for name, each in value.items()} if isinstance(value, dict) else value
