"""Samples of unequal length in one tensor. Ours are padded on the right; what comes with a mask of its own may be
padded on the left. Shapes: B samples, T longest length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class Collated(dict[str, Any]):
    """A batch: keyword arguments of one model's forward, and beside them (`side`) what only `read` needs, such as
    the byte offsets of tokens. `module(**batch)` stays true."""

    def __init__(self, arguments: Mapping[str, Any], **side: Any) -> None:
        super().__init__(arguments)
        self.side = side


def pad(values: Sequence[Tensor], value: float = 0) -> Tensor:
    """Tensors [T_i, ...] as one [B, T, ...], filled up on the right with `value`."""
    longest = max((len(each) for each in values), default=0)
    if not values:
        return torch.empty(0, 0)
    result = values[0].new_full((len(values), longest, *values[0].shape[1:]), value)
    for row, each in zip(result, values, strict=True):
        row[: len(each)] = each
    return result


def mask_of(lengths: Sequence[int]) -> Tensor:
    """True where there is something: bool [B, T]."""
    return torch.arange(max(lengths, default=0)) < torch.tensor(lengths)[:, None]


def unpad(values: Tensor, mask: Tensor | None) -> list[Tensor]:
    """[B, T, ...] as B tensors [T_i, ...]: padding gone, on whichever side it is, where the mask [B, T] has the same
    T."""
    if mask is None or values.ndim < 2 or mask.shape != values.shape[:2]:
        return list(values)
    return [real(row, kept) for row, kept in zip(values, mask, strict=True)]


def real(values: Tensor, kept: Tensor) -> Tensor:
    """Of one sample's positions [T, ...] those that are no padding, by its mask [T]: a view, unless padding lies
    between them."""
    places = stretch(kept)
    return values[kept.bool().to(values.device)] if places is None else values[places.start : places.stop]


def stretch(kept: Tensor) -> range | None:
    """Where a mask [T] is true: one stretch of positions, or None where there are several."""
    places = kept.nonzero()[:, 0]
    first, last = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
    return range(first, last) if last - first == len(places) else None


def to_device(batch: Mapping[str, Any], device: torch.device | str) -> dict[str, Any]:
    """The batch with its tensors on a device."""
    return {name: item.to(device) if isinstance(item, Tensor) else item for name, item in batch.items()}
