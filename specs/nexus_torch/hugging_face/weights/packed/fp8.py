"""Floats of eight bits with a scale for each block of rows and columns (DeepSeek-V3 and all that follow it).

The weight is `float8_e4m3fn [R, C]`, its scales `[ceil(R / 128), ceil(C / 128)]` multiply. The blocks at the edge are
smaller where the size does not divide: DeepSeek-V3's kv_a_proj_with_mqa has 576 rows and five rows of scales. The
block size is the CONFIGURED one: what transformers 5.23 does, rows // rows of scales, raises for 576 and is silently
wrong for 192. Source: https://github.com/deepseek-ai/DeepSeek-V3/blob/main/inference/kernel.py (weight_dequant)
"""

from __future__ import annotations

import torch
from nexus_specs import NexusError
from torch import Tensor

from .layout import AT_ONCE, Layout, Settings, Stored, at_once, check, four_bits, need

BLOCK, MICRO = (128, 128), (1, 32)
EXPONENT_BIAS = 127
NO_NUMBER, RAISED = 0x7F, 256.0
"""The code of e4m3 that is no number; a code's bits at their place in a float16 are its value divided by this."""


def dequantise(name: str, stored: Stored, settings: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """Weight [..., R, C] and scales [..., r, c], [..., R or 1, 1] or a single number -> `dtype` [..., R, C]. Values
    are float32 products, rounded once."""
    weight, scale = need(name, stored, "weight", "scale")
    if scale.dtype == torch.uint8 and settings.get("quant_method") == "mxfp8":
        settings = {"weight_block_size": MICRO}
    scale = exponents(scale) if scale.dtype == torch.uint8 else scale.float()
    if weight.dtype == torch.int8:                          # experts of DeepSeek-V4: two values a byte, 32 a scale
        weight, settings = four_bits(weight), {"weight_block_size": MICRO}
    if scale.numel() == 1:
        return _by_one(weight[None], scale.flatten(), dtype)[0]
    check(weight.ndim >= 2, name, f"has the shape {tuple(weight.shape)} with {scale.numel()} scales")
    rows, columns = weight.shape[-2:]
    if scale.numel() == weight.shape[:-2].numel():          # one for each expert
        return _by_one(weight.flatten(0, -3), scale.flatten(), dtype).view(weight.shape)
    if scale.ndim == 1:
        scale = scale[:, None]
    block = (1, columns) if scale.shape[-2:] == (rows, 1) else _block(settings)
    grid = (-(-rows // block[0]), -(-columns // block[1]))
    expected = (*weight.shape[:-2], *grid)
    shapes = f"has the shape {tuple(weight.shape)} and scales {tuple(scale.shape)}"
    check(tuple(scale.shape) == expected, name, f"{shapes}; blocks of {block[0]} x {block[1]} need {expected}")
    result = torch.empty(weight.shape, dtype=dtype, device=weight.device)
    if result.is_meta:
        return result                                       # asked what it would be, before anything is read
    flat, of, by = result.view(-1, rows, columns), weight.view(-1, rows, columns), scale.reshape(-1, *grid)
    for one, values, factors in zip(flat, of, by, strict=True):
        _scaled(one, values, factors, block)
    return result


def columns(name: str, stored: Stored, _: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """Experts [E, I, O] that multiply from the left, with a scale for each of their outputs (Llama 4 by fbgemm: as
    [E, 1, O] or [E, O, 1]): `dtype` [E, I, O]."""
    weight, scale = need(name, stored, "weight", "scale")
    shapes = f"has the shape {tuple(weight.shape)} and scales {tuple(scale.shape)}"
    check(weight.ndim == 3 and scale.numel() == weight.shape[0] * weight.shape[2], name, f"{shapes}, one for an output")
    result = weight.new_empty(weight.shape, dtype=dtype)
    if not result.is_meta:
        for one, of, by in zip(result, weight, scale.float().reshape(weight.shape[0], -1), strict=True):
            for some in at_once(*one.shape):
                one[some] = values(of[some]).mul_(by)
    return result


def exponents(bytes_: Tensor) -> Tensor:
    """Shared exponents (E8M0) of microscaling: 2 to the power of (byte - 127), float32."""
    return torch.ldexp(torch.ones(bytes_.shape, device=bytes_.device), bytes_.to(torch.int32) - EXPONENT_BIAS)


def values(weight: Tensor) -> Tensor:
    """float32 of floats of eight bits [...]. Of e4m3 by way of float16, whose bits are the same at another place: five
    times as fast as torch 2.13 on a processor."""
    if weight.dtype != torch.float8_e4m3fn:
        return weight.float()
    codes = weight.view(torch.uint8).to(torch.int16)
    size = codes & NO_NUMBER
    if size.numel() and int(size.max()) == NO_NUMBER:
        return weight.float()
    return size.bitwise_left_shift_(7).bitwise_or_((codes & 0x80) << 8).view(torch.float16).float().mul_(RAISED)


def _by_one(weight: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights [E, ...], each times one number of [E]: `dtype`."""
    result = weight.new_empty(weight.shape, dtype=dtype)
    if not result.is_meta:
        for one, of, by in zip(result.view(len(result), -1), weight.reshape(len(result), -1), scales, strict=True):
            for some in at_once(one.numel(), 1):
                one[some] = values(of[some]).mul_(by)
    return result


def _scaled(result: Tensor, weight: Tensor, scale: Tensor, block: tuple[int, int]) -> None:
    """result [R, C] = weight * scale of its block, some rows at a time."""
    rows, columns = weight.shape
    step = max(1, AT_ONCE // max(1, block[0] * columns)) * block[0]
    for first in range(0, rows, step):
        last = min(rows, first + step)
        some, factors = values(weight[first:last]), scale[first // block[0] : -(-last // block[0])]
        if (last - first) % block[0] == columns % block[1] == 0:
            some.view(-1, block[0], columns // block[1], block[1]).mul_(factors[:, None, :, None])
        else:
            factors = factors.repeat_interleave(block[0], 0)[: last - first]
            some *= factors.repeat_interleave(block[1], 1)[:, :columns]
        result[first:last] = some


def _block(settings: Settings) -> tuple[int, int]:
    size = settings.get("weight_block_size") or BLOCK
    pair = isinstance(size, (list, tuple)) and len(size) == 2
    if not (pair and all(type(each) is int and each > 0 for each in size)):
        raise NexusError(f"quantization_config.weight_block_size is {size!r} in config.json; allowed: [128, 128].")
    return size[0], size[1]


LAYOUTS = (
    Layout("_scale_inv", "", {"weight": ("",), "scale": ("_scale_inv",)}, dequantise, narrow=True),
    *(
        Layout(ending, ".weight", {"weight": (".weight",), "scale": (ending,)}, dequantise, narrow=True)
        for ending in (".weight_scale", ".scale", ".qscale_weight")
    ),
)
"""A weight in rows of outputs: the scale is its module's, whatever it is called."""
_OF_EXPERTS = {"weight": ("_proj",), "scale": ("_proj_scale",)}
FBGEMM = (*LAYOUTS, Layout("_proj_scale", "_proj", _OF_EXPERTS, columns, narrow=True))
"""And experts that multiply from the left."""
