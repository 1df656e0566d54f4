"""compressed-tensors (llm-compressor, vLLM): floats or integers of eight bits with scales, integers packed into int32.

Packed: `weight_packed [O, I / 8]` at four bits, lowest first, stored as unsigned (value + 8), `weight_scale [O, G]`,
`weight_shape` = (O, I); asymmetric ones have `weight_zero_point [O / 8, G]`, packed along the outputs.
Source: https://github.com/neuralmagic/compressed-tensors (compressors/quantized_compressors/pack_quantized.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor

from . import fp8
from .layout import Layout, Settings, Stored, check, need, whole

WORD, BITS = 32, (4, 8)
"""Bits of a word; bits of a value that are read."""


def packed(name: str, stored: Stored, settings: Settings) -> Tensor:
    """float32 [O, I]."""
    words, scale = need(name, stored, "packed", "scale")
    bits = _bits(settings)
    if words.dtype != torch.int32:
        raise NexusError(f"'{name}' is packed as {words.dtype} (NVFP4 or a like format), which is not read; int32 is.")
    values = WORD // bits
    found = stored["shape"].flatten().tolist() if "shape" in stored else [words.shape[0], words.shape[1] * values]
    check(len(found) == 2 and found[0] == words.shape[0], name, f"has {words.shape[0]} rows and the shape {found}")
    rows, columns = found
    check(0 < columns <= words.shape[1] * values, name, f"has {words.shape[1]} words a row and the shape {found}")
    numbers = _unpack(words, bits).flatten(1)[:, :columns].sub_(2 ** (bits - 1))
    groups = _groups(name, stored.get("order"), columns, scale.shape[-1])
    if "zero" in stored:
        numbers -= _zeros(name, stored["zero"], bits, rows, scale.shape[-1])[:, groups]
    return numbers.float() * scale.float().reshape(rows, -1)[:, groups]


def plain(name: str, stored: Stored, settings: Settings) -> Tensor:
    """Eight bits, floats or integers, each with scales of rows, groups or blocks: float32 [O, I]."""
    weight, scale = need(name, stored, "weight", "scale")
    if weight.is_floating_point():
        block = _weights(settings).get("block_structure")
        return fp8.dequantise(name, stored, {"weight_block_size": block} if block else {})
    groups = _groups(name, None, weight.shape[1], scale.shape[-1] if scale.ndim == 2 else 1)
    numbers = weight.float()
    if "zero" in stored:
        numbers -= stored["zero"].float().reshape(-1, scale.shape[-1] if scale.ndim == 2 else 1)[:, groups]
    return numbers * scale.float().reshape(-1, int(groups.max()) + 1)[:, groups]


def _unpack(words: Tensor, bits: int) -> Tensor:
    shifts = torch.arange(0, WORD, bits, dtype=torch.int32)
    return (words[..., None] >> shifts) & (2**bits - 1)


def _zeros(name: str, words: Tensor, bits: int, rows: int, groups: int) -> Tensor:
    """Zeros [O, G] from words that are packed along the outputs."""
    check(words.shape == (-(-rows * bits // WORD), groups), name, f"has zeros of the shape {tuple(words.shape)}")
    found = _unpack(words, bits).transpose(1, 2).flatten(0, 1)[:rows]
    return found.sub_(2 ** (bits - 1))


def _groups(name: str, order: Tensor | None, columns: int, count: int) -> Tensor:
    """The group of each input [I]."""
    if order is not None and order.numel() == columns and int(order.min()) >= 0:
        check(int(order.max()) < count, name, "has a weight_g_idx beyond its scales")
        return order.long()
    check(count > 0 and columns % count == 0, name, f"has {columns} inputs and {count} groups")
    return torch.arange(columns) // (columns // count)


def _weights(settings: Settings) -> Mapping[str, Any]:
    """How weights are stored; the groups of one checkpoint that are packed as integers have the same bits."""
    groups = settings.get("config_groups")
    every = [each.get("weights") for each in groups.values()] if isinstance(groups, Mapping) else []
    found = [each for each in every if isinstance(each, Mapping)]
    return next((each for each in found if each.get("type") == "int"), found[0] if found else {})


def _bits(settings: Settings) -> int:
    bits = whole(_weights(settings), "num_bits", 4, 1, 8)
    if bits not in BITS:
        raise NexusError(f"compressed-tensors of {bits} bits are not read; {', '.join(map(str, BITS))} are.")
    return bits


_ROLES = {"scale": (".weight_scale",), "zero": (".weight_zero_point",), "order": (".weight_g_idx",)}
LAYOUTS = (
    Layout(".weight_packed", ".weight", {"packed": (".weight_packed",), "shape": (".weight_shape",), **_ROLES}, packed),
    Layout(".weight_scale", ".weight", {"weight": (".weight",), **_ROLES}, plain),
)
