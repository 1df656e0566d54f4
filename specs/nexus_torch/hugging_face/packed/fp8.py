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

from .layout import E2M1, Layout, Settings, Stored, check, need, nibbles

BLOCK, FOUR_BITS = (128, 128), (1, 32)
ROWS = 4096
"""Rows that are put into float32 at a time: what a weight needs beside its result."""
EXPONENT_BIAS = 127


def dequantise(name: str, stored: Stored, settings: Settings) -> Tensor:
    """Weight [..., R, C] and scales [..., r, c], [..., R or 1, 1] or a single number -> float32 [..., R, C]."""
    weight, scale = need(name, stored, "weight", "scale")
    scale = exponents(scale) if scale.dtype == torch.uint8 else scale.float()
    if weight.dtype == torch.int8:                          # experts of DeepSeek-V4: two values a byte, 32 a scale
        weight, settings = torch.tensor(E2M1)[nibbles(weight)], {"weight_block_size": FOUR_BITS}
    if scale.numel() == 1:
        return weight.float() * scale.reshape(())
    check(weight.ndim >= 2, name, f"has the shape {tuple(weight.shape)} with {scale.numel()} scales")
    rows, columns = weight.shape[-2:]
    if scale.ndim == 1:
        scale = scale[:, None]
    block = (1, columns) if scale.shape[-2:] == (rows, 1) else _block(settings)
    grid = (-(-rows // block[0]), -(-columns // block[1]))
    expected = (*weight.shape[:-2], *grid)
    shapes = f"has the shape {tuple(weight.shape)} and scales {tuple(scale.shape)}"
    check(tuple(scale.shape) == expected, name, f"{shapes}; blocks of {block[0]} x {block[1]} need {expected}")
    result = torch.empty(weight.shape, dtype=torch.float32)
    flat, of, by = result.view(-1, rows, columns), weight.view(-1, rows, columns), scale.reshape(-1, *grid)
    for one, values, factors in zip(flat, of, by, strict=True):
        _scaled(one, values, factors, block)
    return result


def exponents(bytes_: Tensor) -> Tensor:
    """Shared exponents (E8M0) of microscaling: 2 to the power of (byte - 127), float32."""
    return torch.ldexp(torch.ones(bytes_.shape), bytes_.to(torch.int32) - EXPONENT_BIAS)


def _scaled(result: Tensor, weight: Tensor, scale: Tensor, block: tuple[int, int]) -> None:
    """result [R, C] = weight * scale of its block, some rows at a time."""
    rows, columns = weight.shape
    step = max(1, ROWS // block[0]) * block[0]
    for first in range(0, rows, step):
        last = min(rows, first + step)
        some = scale[first // block[0] : -(-last // block[0])].repeat_interleave(block[0], 0)[: last - first]
        result[first:last] = weight[first:last].float()
        result[first:last] *= some.repeat_interleave(block[1], 1)[:, :columns]


def _block(settings: Settings) -> tuple[int, int]:
    size = settings.get("weight_block_size") or BLOCK
    pair = isinstance(size, (list, tuple)) and len(size) == 2
    if not (pair and all(type(each) is int and each > 0 for each in size)):
        raise NexusError(f"quantization_config.weight_block_size is {size!r} in config.json; allowed: [128, 128].")
    return size[0], size[1]


LAYOUTS = (
    Layout("_scale_inv", "", {"weight": ("",), "scale": ("_scale_inv",)}, dequantise),
    *(
        Layout(ending, ".weight", {"weight": (".weight",), "scale": (ending,)}, dequantise)
        for ending in (".weight_scale", ".scale", ".qscale_weight")
    ),
)
