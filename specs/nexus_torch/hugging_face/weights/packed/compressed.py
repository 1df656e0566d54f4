"""compressed-tensors (llm-compressor, vLLM): floats or integers of eight bits with scales, integers packed into int32,
floats of four bits packed into bytes (NVFP4, MXFP4).

Packed: `weight_packed [O, I / 8]` at four bits, lowest first, stored as unsigned (value + 8), `weight_scale [O, G]`,
`weight_shape` = (O, I); asymmetric ones have `weight_zero_point [O / 8, G]`, packed along the outputs. NVFP4:
`weight_packed [O, I / 2]` of bytes, `weight_scale [O, I / 16]` to be divided by `weight_global_scale`.
Source: https://github.com/neuralmagic/compressed-tensors (compressors/pack_quantized/base.py, nvfp4/base.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from . import fp8
from .layout import (
    Layout,
    Settings,
    Stored,
    at_once,
    check,
    fields,
    four_bits,
    length,
    need,
    numbers,
    scaled,
    whole,
)

FORMATS = (
    "dense", "naive-quantized", "int-quantized", "float-quantized", "pack-quantized", "nvfp4-pack-quantized",
    "mxfp4-pack-quantized", "mxfp8-quantized", "mixed-precision",
)  # fmt: skip
"""Ways in which its releases store weights, those that are read."""
UNREAD = ("sparse-bitmask", "sparse-24-bitmask", "marlin-24", "mxfp6-pack-quantized")
SHARED = 32
"""Inputs that share an exponent in MXFP4."""


def unread(settings: Settings) -> str:
    """The first format that the settings name and that is not read; "" where all are. A name that is new here is left
    to the names and shapes of the tensors."""
    sparse, groups = settings.get("sparsity_config"), settings.get("config_groups")
    every = [each for each in groups.values() if isinstance(each, Mapping)] if isinstance(groups, Mapping) else []
    said = [each.get("format") for each in (settings, sparse if isinstance(sparse, Mapping) else {}, *every)]
    return next((each for each in UNREAD if each in said), "")


def packed(name: str, stored: Stored, settings: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """`dtype` [O, I]."""
    words, scale = need(name, stored, "packed", "scale")
    if words.dtype == torch.uint8:
        return _floats(name, words, scale, stored.get("whole"), dtype)
    check(words.dtype == torch.int32 and words.ndim == 2, name, f"lies in {words.dtype} {tuple(words.shape)}")
    rows, columns = _shape(name, stored, words, settings)
    result = words.new_empty(rows, columns, dtype=dtype)
    if words.is_meta:
        return result
    bits = _bits(name, words, columns, settings)
    scale = scale.float().reshape(1 if scale.numel() == 1 else rows, -1).expand(rows, -1)
    groups = _groups(name, stored.get("order"), columns, scale.shape[-1])
    zero = torch.full_like(scale, 2 ** (bits - 1))
    if "zero" in stored:
        zero += _zeros(name, stored["zero"], bits, rows, scale.shape[-1])
    for some in at_once(rows, columns):
        result[some] = scaled(numbers(words[some], bits)[:, :columns], zero[some], scale[some], groups)
    return result


def plain(name: str, stored: Stored, settings: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """Eight bits, floats or integers, each with scales of rows, groups or blocks: `dtype` [O, I]."""
    weight, scale = need(name, stored, "weight", "scale")
    if weight.is_floating_point():
        block = next((each["block_structure"] for each in _weights(settings) if each.get("block_structure")), None)
        if scale.ndim == weight.ndim == 2 and len(scale) == len(weight) and (scale.dtype == torch.uint8 or not block):
            columns = weight.shape[1]
            check(columns % scale.shape[1] == 0, name, f"has {columns} inputs and {scale.shape[1]} groups")
            block = [1, columns // scale.shape[1]]
        return fp8.dequantise(name, stored, {"weight_block_size": block} if block else {}, dtype)
    rows, columns = weight.shape
    count = scale.shape[-1] if scale.ndim == 2 else 1
    groups = _groups(name, None, columns, count)
    result = weight.new_empty(rows, columns, dtype=dtype)
    if weight.is_meta:
        return result
    zero = stored["zero"].float().reshape(-1, count).expand(rows, -1) if "zero" in stored else None
    by = scale.float().reshape(-1, count).expand(rows, -1)
    for some in at_once(rows, columns):
        result[some] = scaled(weight[some].float(), None if zero is None else zero[some], by[some], groups)
    return result


def _floats(name: str, packed: Tensor, scale: Tensor, whole_scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Two e2m1 values a byte [O, I / 2], a scale [O, G] for each group: `dtype` [O, I]."""
    check(packed.ndim == 2, name, f"has the shape {tuple(packed.shape)}")
    rows, columns = packed.shape[0], 2 * packed.shape[1]
    result = packed.new_empty(rows, columns, dtype=dtype)
    if packed.is_meta:
        return result
    if scale.dtype == torch.uint8:
        check(scale.shape[-1] * SHARED == columns, name, f"has {scale.shape[-1]} exponents a row")
        by = fp8.exponents(scale)
    else:
        check(whole_scale is not None and whole_scale.numel() == 1, name, "has no weight_global_scale")
        by = scale.float() / (1.0 if whole_scale is None else whole_scale.float().reshape(()))
    groups = _groups(name, None, columns, scale.shape[-1])
    check(len(by) == rows, name, f"has {rows} rows and scales of {len(by)}")
    for some in at_once(rows, columns):
        result[some] = scaled(four_bits(packed[some]), None, by[some], groups)
    return result


def _shape(name: str, stored: Stored, words: Tensor, settings: Settings) -> tuple[int, int]:
    """Rows and columns as they were before they were packed."""
    bits = whole(next(iter(_weights(settings)), {}), "num_bits", 4, 1, 8)
    found = [len(words), words.shape[1] * 32 // bits]
    if "shape" in stored and not stored["shape"].is_meta:
        found = stored["shape"].flatten().tolist()
    check(len(found) == 2 and found[0] == len(words), name, f"has {len(words)} rows and the shape {found}")
    check(0 < found[1] <= words.shape[1] * 32, name, f"has {words.shape[1]} words a row and the shape {found}")
    return found[0], found[1]


def _bits(name: str, words: Tensor, columns: int, settings: Settings) -> int:
    """Those of the first group of the configuration that rows of this length are of: a checkpoint may have several."""
    every = [whole(each, "num_bits", 4, 1, 8) for each in _weights(settings)] or [4]
    found = [bits for bits in every if length(columns, bits) == words.shape[1]]
    said = " or ".join(map(str, dict.fromkeys(every)))
    check(bool(found), name, f"has {words.shape[1]} words for {columns} values, which are not of {said} bits")
    return found[0]


def _zeros(name: str, words: Tensor, bits: int, rows: int, groups: int) -> Tensor:
    """Zeros [O, G] from words that are packed along the outputs."""
    check(words.shape == (length(rows, bits), groups), name, f"has zeros of the shape {tuple(words.shape)}")
    return fields(words.T, bits).T[:rows].sub(2 ** (bits - 1))


def _groups(name: str, order: Tensor | None, columns: int, count: int) -> Tensor:
    """The group of each input [I]."""
    if order is not None and order.numel() == columns and int(order.min()) >= 0:
        check(int(order.max()) < count, name, "has a weight_g_idx beyond its scales")
        return order.long()
    check(count > 0 and columns % count == 0, name, f"has {columns} inputs and {count} groups")
    return torch.arange(columns) // (columns // count)


def _weights(settings: Settings) -> list[Mapping[str, Any]]:
    """How the weights of each group of the configuration are stored, those of whole numbers first."""
    groups = settings.get("config_groups")
    every = [each.get("weights") for each in groups.values()] if isinstance(groups, Mapping) else []
    return sorted((each for each in every if isinstance(each, Mapping)), key=lambda each: each.get("type") != "int")


_ROLES = {"scale": (".weight_scale",), "zero": (".weight_zero_point",), "order": (".weight_g_idx",)}
_PACKED = {"packed": (".weight_packed",), "shape": (".weight_shape",), "whole": (".weight_global_scale",)}
LAYOUTS = (
    Layout(".weight_packed", ".weight", {**_PACKED, **_ROLES}, packed, narrow=True),
    Layout(".weight_scale", ".weight", {"weight": (".weight",), **_ROLES}, plain, narrow=True),
)
