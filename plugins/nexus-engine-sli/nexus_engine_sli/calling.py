"""What a model is given, and what is said where it refuses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Paused
from nexus_torch.padding import to_device
from torch import nn

TOLD = (NexusError, Paused, OSError, MemoryError, torch.OutOfMemoryError)
"""What says itself what is wrong, or is no fault of a sample."""


def placed(batch: Mapping[str, Any], device: str, dtype: torch.dtype) -> dict[str, Any]:
    """Tensors on the device; of a narrow model floating ones in its dtype, as whoever calls such a model gives them."""
    given = to_device(batch, device)
    return {name: item.to(dtype) if _wide(item) and dtype != torch.float32 else item for name, item in given.items()}


def narrowed(batch: Batch, dtype: torch.dtype) -> Batch:
    """The same batch, whose floating tensors are in the dtype in which they will be placed."""
    if isinstance(batch, MutableMapping):
        batch.update({name: item.to(dtype) for name, item in batch.items() if _wide(item) and dtype != torch.float32})
    return batch


@contextmanager
def feeding(module: nn.Module, device: str, dtype: torch.dtype) -> Iterator[None]:
    """While this lasts a model has what it is called with, and what it generates from, as `placed` gives it: loaders
    make answers themselves, and know neither device nor dtype."""

    def before(_: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, placed(kwargs, device, dtype)

    native: Any = getattr(module, "generate", None)

    def generate(*args: Any, **kwargs: Any) -> Any:
        return native(*args, **placed(kwargs, device, dtype))

    handle = module.register_forward_pre_hook(before, with_kwargs=True)
    own = "generate" in vars(module)
    if native is not None and not own:
        module.generate = generate  # type: ignore[assignment]
    try:
        yield
    finally:
        handle.remove()
        if native is not None and not own:
            del module.generate


def refused(module: nn.Module, batch: Mapping[str, Any], keys: Sequence[str], error: Exception) -> str:
    """Which samples a model cannot run, why, and what it was given of them ({}: nobody knows)."""
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    shapes = ", ".join(f"{name} {list(each.shape)}" for name, each in batch.items() if isinstance(each, torch.Tensor))
    given = f" It was given: {shapes or 'no tensors'}." if batch else ""
    text = " ".join(str(error).split())[:300]
    return f"{type(module).__name__} cannot run the sample '{keys[0]}'{more}: {type(error).__name__}: {text}.{given}"


def _wide(item: Any) -> bool:
    return isinstance(item, torch.Tensor) and item.dtype == torch.float32
