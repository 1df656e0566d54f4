"""Microscaling floats of four bits (gpt-oss): two e2m1 values a byte, a shared exponent for every 32 of them.

`P_blocks [E, O, G, 16]` and `P_scales [E, O, G]` are the weight `P [E, 32 G, O]`: the file holds rows of outputs, the
module multiplies from the left. Format: https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf
"""

from __future__ import annotations

import torch
from torch import Tensor

from .fp8 import exponents
from .layout import Layout, Settings, Stored, at_once, check, four_bits, need


def dequantise(name: str, stored: Stored, _: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """Blocks [..., O, G, B] and scales [..., O, G] -> `dtype` [..., 2 B G, O]; bfloat16 holds every value exactly."""
    blocks, scales = need(name, stored, "blocks", "scales")
    shapes = f"has blocks of the shape {tuple(blocks.shape)} and scales {tuple(scales.shape)}"
    check(blocks.ndim >= 3 and blocks.shape[:-1] == scales.shape, name, f"{shapes}, one for each block")
    *outer, outputs, groups, width = blocks.shape
    result = torch.empty(*outer, outputs, groups * width * 2, dtype=dtype, device=blocks.device)
    if not result.is_meta:                                  # asked what it would be, before anything is read
        rows, packs = result.view(-1, groups, width * 2), blocks.reshape(-1, groups, width)
        factors = exponents(scales).view(-1, groups, 1)
        for some in at_once(len(rows), groups * width * 2):
            rows[some] = four_bits(packs[some]).mul_(factors[some])
    return result.transpose(-1, -2)


LAYOUTS = (Layout("_blocks", "", {"blocks": ("_blocks",), "scales": ("_scales",)}, dequantise, narrow=True),)
