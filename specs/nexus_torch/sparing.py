"""Models described without memory: what a module makes while it is built is kept off this machine where it is large."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from nexus_specs import NexusError
from torch.overrides import TorchFunctionMode

LARGE, HUGE = 1 << 24, 1 << 28
"""Numbers of a tensor that is a weight, not a buffer; and of one that nothing here may hold (1 GB in float32)."""
TABLES = 1 << 29
"""Bytes of all that is filled while a module is made: attention masks of every layer, at most 180 MB (GPT-Neo)."""
MOST = 1 << 14
"""Tensors that a module is made of: the largest models make fewer than 7,000, and so many take under three seconds."""
UNFILLED = frozenset({"empty", "rand", "randn", "empty_strided", "normal", "zeros"})
"""Zeros take no memory until something is written to them: Llama 4 makes its experts so."""
WRITTEN = frozenset({
    "normal_", "uniform_", "erfinv_", "clamp_", "fill_", "zero_", "kaiming_uniform_", "kaiming_normal_",
    "xavier_uniform_", "xavier_normal_", "trunc_normal_", "constant_", "ones_", "zeros_",
})  # fmt: skip
"""What initialises a weight: on the meta device it does nothing, and takes most of the time that a model takes."""
FILLED = frozenset({"ones", "full", "arange", "eye", "linspace"})


class Sparing(TorchFunctionMode):
    """Large tensors that nothing has filled yet are made on the meta device; absurd ones are refused, and absurdly
    many."""

    def __init__(self) -> None:
        super().__init__()
        self.made = self.filled = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Looks at the sizes that a factory is called with."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in WRITTEN and isinstance(target := args[0] if args else kwargs.get("tensor"), torch.Tensor):
            return target if target.is_meta else func(*args, **kwargs)
        if name == "contiguous" and args and not args[0].is_meta and not args[0].is_contiguous():
            self._fill(name, args[0].numel(), kwargs)       # what was only spread out before (Mamba's A)
        if name in UNFILLED or name in FILLED:
            self.made += 1
            if self.made > MOST:
                raise NexusError(
                    f"The configuration asks for more than {MOST:,} weights: it is damaged, or no model's. Fetch "
                    "config.json again."
                )
            size = _numbers(name, args, kwargs)
            if name in FILLED:
                self._fill(name, size, kwargs)
            elif size > (HUGE if name == "zeros" else LARGE):
                return func(*args, **{**kwargs, "device": "meta"})
        return func(*args, **kwargs)

    def _fill(self, name: str, size: int, kwargs: Mapping[str, Any]) -> None:
        """NexusError where a table, or all of them together, are larger than any model's."""
        if str(kwargs.get("device")) == "meta":
            return
        self.filled += size * _bytes(name, kwargs)
        if size > HUGE or self.filled > TABLES:
            raise NexusError(
                f"The configuration asks for a table of {size:,} numbers beside the weights (torch.{name}): it is "
                "damaged, or no model's. Fetch config.json again."
            )


def check_buffer(tensor: torch.Tensor | None) -> None:
    """NexusError for a buffer that was too large to be made."""
    if tensor is not None and tensor.is_meta and tensor.numel() > LARGE:
        raise NexusError(
            f"The configuration asks for a table of {tensor.numel():,} numbers beside the weights: it is damaged, or "
            "no model's. Fetch config.json again."
        )


def _bytes(name: str, kwargs: Mapping[str, Any]) -> int:
    """Bytes of a number that a factory makes."""
    kind: Any = kwargs.get("dtype")
    return kind.itemsize if isinstance(kind, torch.dtype) else 1 if kind is bool else 8 if name == "arange" else 4


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
