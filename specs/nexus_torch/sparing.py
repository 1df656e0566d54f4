"""Models described without memory: what a module makes while it is built is kept off this machine where it is large."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nexus_specs import NexusError
from torch.overrides import TorchFunctionMode

LARGE, HUGE = 1 << 24, 1 << 28
"""Numbers of a tensor that is a weight, not a buffer; and of one that nothing here may hold (1 GB in float32)."""
MOST = 1 << 17
"""Tensors that a module is made of: the most experts and layers that a configuration may ask for are fewer by far."""
UNFILLED = frozenset({"empty", "rand", "randn", "empty_strided", "normal"})
FILLED = frozenset({"zeros", "ones", "full", "arange", "eye", "linspace"})


class Sparing(TorchFunctionMode):
    """Large tensors that nothing has filled yet are made on the meta device; absurd ones are refused, and absurdly
    many."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Looks at the sizes that a factory is called with."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in UNFILLED or name in FILLED:
            self.made += 1
            if self.made > MOST:
                raise NexusError(
                    f"The configuration asks for more than {MOST:,} weights: it is damaged, or no model's. Fetch "
                    "config.json again."
                )
        if (name in UNFILLED or name in FILLED) and (size := _numbers(name, args, kwargs)) > LARGE:
            if name in UNFILLED:
                return func(*args, **{**kwargs, "device": "meta"})
            if size > HUGE and str(kwargs.get("device")) != "meta":
                raise NexusError(
                    f"The configuration asks for a table of {size:,} numbers beside the weights (torch.{name}): it is "
                    "damaged, or no model's. Fetch config.json again."
                )
        return func(*args, **kwargs)


def _numbers(name: str, args: Any, kwargs: Mapping[str, Any]) -> int:
    """How many numbers a factory would make; 0 where that cannot be seen."""
    given = kwargs.get("size", args[0] if args else kwargs.get("end", 0))
    if name == "arange":
        whole = [each for each in args[:2] if isinstance(each, (int, float))] or [kwargs.get("end", 0)]
        return int(abs(whole[-1]))
    if name == "eye":
        return int(args[0]) ** 2 if args and isinstance(args[0], int) else 0
    if isinstance(given, int):
        given = [each for each in args if isinstance(each, int)]
    try:
        return math.prod(int(each) for each in given)
    except TypeError:
        return 0
