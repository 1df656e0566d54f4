"""How many bytes weights take in files: as their headers say, or as a configuration alone lets expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from nexus_specs import Extent
from torch import nn

NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
"""torch dtypes -> safetensors' names."""
PACKED = {"fp8": 8.01, "mxfp4": 4.25, "nvfp4": 4.5, "bitsandbytes": 4.5, "gptq": 4.25, "awq": 4.25, "auto-round": 4.25}
"""Bits of one weight with its scales, by the quantiser's name, where a configuration says no more."""


def stored_bytes(found: Sequence[Extent]) -> int:
    """Bytes of these ranges."""
    return sum(extent.stop - extent.start for extent in found)


def commonest(kinds: Sequence[str]) -> str:
    """The dtype that most tensors have; the first by name of equals."""
    return max(sorted(set(kinds)), key=kinds.count, default="")


class Expected:
    """What a configuration without weights lets expect of them."""

    def __init__(self, dtype: torch.dtype | None, packing: Mapping[str, Any]) -> None:
        self.dtype = dtype or torch.float32
        self.bits = _bits(packing)

    @property
    def name(self) -> str:
        """safetensors' name of the dtype."""
        return NAMES.get(self.dtype, "F32")

    def bytes(self, module: nn.Module, *, packed: bool) -> int:
        """Of a module's own and inner weights; `packed`: matrices are, where the checkpoint is quantised."""
        whole = 0.0
        for each in module.parameters():
            small = each.ndim < 2 or not packed or not self.bits
            whole += each.numel() * (self.dtype.itemsize if small else self.bits / 8)
        return round(whole)


def _bits(packing: Mapping[str, Any]) -> float:
    method = str(packing.get("quant_method", ""))
    if method == "bitsandbytes" and packing.get("load_in_8bit"):
        return 8.0
    said = packing.get("bits")
    if isinstance(said, (int, float)) and 1 < said <= 16:
        return float(said) + 0.25
    return PACKED.get(method, 0.0)
