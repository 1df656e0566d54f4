"""Stored bytes to tensors: plain types as they are, blocks through gguf's numpy code, rows at a time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from nexus_specs import NexusError
from nexus_torch.files import DTYPES
from torch import Tensor

from .types import BLOCKS, PLAIN, TensorInfo, type_name

ROWS_AT_ONCE = 1 << 20
"""Elements that are dequantised at once: gguf's code needs several times their memory for a moment, which a cache
should hold."""


def unreadable(kinds: Iterable[int]) -> list[str]:
    """The names of those types that nothing here opens, each once."""
    return sorted(type_name(kind) for kind in set(kinds) - PLAIN.keys() if not _opens(kind))


def _opens(kind: int) -> bool:
    """Whether gguf dequantises a type: its table of those is its own affair."""
    try:
        dequantize(np.zeros((1, BLOCKS[kind][1]), dtype=np.uint8), GGMLQuantizationType(kind))
    except (NotImplementedError, KeyError):
        return False
    return True


def dequantise(info: TensorInfo, stored: Tensor) -> Tensor:
    """The tensor behind stored bytes (uint8, of all or of some of its first dimension): float32 for blocks, the stored
    type otherwise. Bytes without values (`meta`) give a tensor without."""
    shape = (-1, *info.shape[1:]) if stored.numel() and info.shape else info.shape
    if info.kind in PLAIN:
        return stored.view(DTYPES[PLAIN[info.kind]]).reshape(shape)
    block, size = BLOCKS[info.kind]
    if stored.is_meta:
        return torch.empty(stored.numel() // size * block, device="meta").reshape(shape)
    data = stored.numpy().reshape(-1, info.shape[-1] // block * size)
    found = np.empty((data.shape[0], info.shape[-1]), dtype=np.float32)
    step = max(1, ROWS_AT_ONCE // info.shape[-1])
    try:
        for first in range(0, data.shape[0], step):
            found[first : first + step] = dequantize(data[first : first + step], GGMLQuantizationType(info.kind))
    except (NotImplementedError, KeyError) as error:
        raise NexusError(
            f"The tensor '{info.name}' is stored as {type_name(info.kind)}, which gguf cannot dequantise. "
            "Use a file in another type (Q8_0, Q4_K, F16 …)."
        ) from error
    return torch.from_numpy(found).reshape(shape)
