"""Microscaling floats of four bits (gpt-oss): two e2m1 values a byte, a shared exponent for every 32 of them.

`P_blocks [E, O, G, 16]` and `P_scales [E, O, G]` are the weight `P [E, 32 G, O]`: the file holds rows of outputs, the
module multiplies from the left. Format: https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf
"""

from __future__ import annotations

import torch
from torch import Tensor

from .fp8 import exponents
from .layout import E2M1, Layout, Settings, Stored, check, need, nibbles


def dequantise(name: str, stored: Stored, _: Settings) -> Tensor:
    """Blocks [..., O, G, B] and scales [..., O, G] -> float32 [..., 2 B G, O]."""
    blocks, scales = need(name, stored, "blocks", "scales")
    shapes = f"has blocks of the shape {tuple(blocks.shape)} and scales {tuple(scales.shape)}"
    check(blocks.ndim >= 3 and blocks.shape[:-1] == scales.shape, name, f"{shapes}, one for each block")
    *outer, outputs, groups, width = blocks.shape
    result = torch.empty(*outer, outputs, groups * width * 2, dtype=torch.float32)
    codes = torch.tensor(E2M1)
    rows = result.view(-1, outputs, groups, width * 2)
    packed, shared = blocks.reshape(-1, outputs, groups, width), scales.reshape(-1, outputs, groups)
    for row, block, scale in zip(rows, packed, shared, strict=True):  # an expert at a time
        row.copy_(codes[nibbles(block)] * exponents(scale)[..., None])
    return result.transpose(-1, -2)


LAYOUTS = (Layout("_blocks", "", {"blocks": ("_blocks",), "scales": ("_scales",)}, dequantise),)
