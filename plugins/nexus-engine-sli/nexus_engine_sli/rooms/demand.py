"""Weights that are not there and come when they are used: models reach into other layers than the one that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import greenlet
import torch
from nexus_torch.skeleton import HARMLESS, Absent
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from ..weights.groups import Groups, Wait
from ..weights.tables import Rows, expert_by_expert, gathered, product, waiting
from .changes import Changes

CONTENT = frozenset({"T", "mT", "H", "mH", "data", "real", "imag"})
"""Attributes of a tensor that are made of its values."""


class Source(Protocol):
    """Where weights come from."""

    device: str
    module: nn.Module
    groups: Groups
    changes: Changes

    def units_of(self, name: str) -> tuple[str, ...]:
        """The units that may bring a weight."""


class Awaited(Absent):
    """An absent weight of a streamed model. Arithmetic with it, inside a forward that the hub leads, waits until the
    hub has brought its unit; a number that is written into it is written each time that it comes."""

    source: Source

    @property
    def divided(self) -> bool:
        """Whether it comes some rows, or experts, at a time."""
        return bool(self.source.groups.of(self.name))

    def rows(self, wait: Wait, wanted: Callable[[int, int], bool] = lambda *_: True) -> Rows:
        """Its blocks of rows, or those that are wanted, by their first row and the one behind their last."""
        for unit in self.source.groups.of(self.name):
            if wanted(unit.first, unit.first + unit.count):
                yield unit.first, self.source.groups.take(unit, self.name, wait)

    def columns(self, bias: Tensor | None) -> Iterator[tuple[int, Tensor, Tensor | None]]:
        """Of a head, inside a forward that is led: first token, its weights and biases, block by block."""
        wait = waiting()
        assert wait is not None
        for first, block in self.rows(wait):
            yield first, block, None if bias is None else bias[first : first + len(block)]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Shapes and dtypes answer at once; NexusError where nobody can wait."""
        name = getattr(func, "__name__", "")
        attribute = getattr(getattr(func, "__self__", None), "__name__", "") if name == "__get__" else ""
        if attribute == "device" and isinstance(args[0], Awaited):
            return torch.device(args[0].source.device)
        if name in HARMLESS and attribute not in CONTENT:
            return super().__torch_function__(func, types, args, kwargs or {})
        run, wait = greenlet.getcurrent(), waiting()
        if wait is None or "out" in (kwargs or {}):
            return super().__torch_function__(func, types, args, kwargs or {})
        if name.endswith("_") and not name.endswith("__"):
            others = [each for each in (*args[1:], *(kwargs or {}).values()) if isinstance(each, Tensor)]
            write = args[0].source.changes.write
            if others or not write(args[0].name, run, lambda each: func(each, *args[1:], **kwargs or {})):
                return super().__torch_function__(func, types, args, kwargs or {})
            return args[0]
        if (some := _of_a_group(func, args, kwargs or {}, wait)) is not None:
            return some
        found: dict[str, Tensor] = {}
        for each in _inside((args, kwargs or {})):
            if each.name not in found:
                found[each.name] = _brought(each, wait)
        return func(*_replaced(args, found), **_replaced(kwargs or {}, found))


def _of_a_group(func: Any, args: Any, kwargs: Any, wait: Wait) -> Tensor | None:
    """One expert, the product with all of them, or what is looked up in or multiplied with a table, where these come in
    groups; else None."""
    if getattr(func, "__name__", "") == "__getitem__" and isinstance(args[0], Awaited) and _is_number(args[1]):
        return args[0].source.groups.expert(args[0].name, int(args[1]), wait)
    if func not in (embedding, linear, torch.bmm) or not isinstance(args[1], Awaited):
        return None
    inputs, weight = args[:2]
    if not weight.divided or weight.ndim != (3 if func is torch.bmm else 2) or isinstance(inputs, Awaited):
        return None
    if func is torch.bmm:
        return expert_by_expert(inputs, weight.rows(wait))
    if func is embedding:
        return gathered(inputs, lambda wanted: weight.rows(wait, wanted), weight)
    bias = args[2] if len(args) > 2 else kwargs.get("bias")
    return product(inputs, weight.rows(wait), bias, weight.shape[0])


def _is_number(index: Any) -> bool:
    return isinstance(index, int) or (isinstance(index, Tensor) and index.ndim == 0)


def _brought(weight: Awaited, wait: Any) -> Tensor:
    if weight.divided:
        return _whole(weight, wait)
    for path in ("", *weight.source.units_of(weight.name)):
        if path:
            wait(path)
        tensor = weight.source.module.get_parameter(weight.name)
        if not isinstance(tensor, Absent):
            return tensor
    return super(Awaited, weight).__torch_function__(torch.neg, (Absent,), (weight,))  # type: ignore[no-any-return]


def _whole(weight: Awaited, wait: Any) -> Tensor:
    """A weight that comes in groups, all of it: for models that do something else with it."""
    found = torch.empty(weight.shape, dtype=weight.dtype, device=weight.source.device)
    for first, block in weight.rows(wait):
        found[first : first + len(block)] = block
    return found


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
