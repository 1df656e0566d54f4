"""How many bytes weights take in files: as their headers say, or as a configuration alone lets expect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from nexus_specs import Extent
from torch import nn

from .kept import EXPRESSION, kept, named, words
from .packed import bitnet

NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
"""torch dtypes -> safetensors' names."""
PACKED = {
    "fp8": 8.01, "fbgemm_fp8": 8.01, "mxfp8": 8.25, "mxfp4": 4.25, "nvfp4": 4.5, "bitsandbytes": 4.5, "gptq": 4.25,
    "awq": 4.25, "auto-round": 4.25, "w4a16_awq": 4.25, "w4a8_awq": 4.25, "eetq": 8.01, "bitnet": 2.0,
}  # fmt: skip
"""Bits of one weight with its scales, by the quantiser's name (of modelopt: its algorithm's), where a configuration
says no more."""
HALVES = ("gptq", "awq")
"""Quantisers of float16, where no dtype is named; the others take bfloat16."""
ONLY_EXPERTS = ("mxfp4",)
"""Quantisers that pack experts alone, which lie in one tensor [E, I, O]."""
EXPONENTS = (16, 32)
"""Weights of four-bit floats that share a scale of eight bits (NVFP4, MXFP4)."""


def stored_bytes(found: Sequence[Extent]) -> int:
    """Bytes of these ranges."""
    return sum(extent.stop - extent.start for extent in found)


def commonest(kinds: Sequence[str]) -> str:
    """The dtype that most tensors have; the first by name of equals."""
    return max(sorted(set(kinds)), key=kinds.count, default="")


class Expected:
    """What a configuration without weights lets expect of them."""

    def __init__(self, dtype: torch.dtype | None, packing: Mapping[str, Any]) -> None:
        self.method = str(packing.get("quant_method", ""))
        unsaid = torch.float32 if not self.method else torch.float16 if self.method in HALVES else torch.bfloat16
        self.dtype = dtype or unsaid
        self.bits = _groups(packing.get("config_groups"))
        if bits := _bits(packing):
            self.bits.append((lambda _: True, bits))
        self.kept = kept(packing)

    @property
    def name(self) -> str:
        """safetensors' name of the dtype."""
        return NAMES.get(self.dtype, "F32")

    def bytes(self, module: nn.Module, path: str = "", *, packed: bool) -> int:
        """Of the own and inner weights of a module that lies at `path`; `packed`: matrices are, where the checkpoint is
        quantised."""
        whole = 0.0
        for name, each in module.named_parameters():
            bits = self._of(f"{path}.{name}" if path else name, each.ndim) if packed else 0.0
            whole += each.numel() * (bits / 8 or self.dtype.itemsize)
        return round(whole)

    def _of(self, name: str, dimensions: int) -> float:
        """Bits of one number of a packed weight; 0 for one that is stored as it is."""
        least = 3 if self.method in ONLY_EXPERTS else 2
        if not self.bits or dimensions < least or name.endswith("bias") or self.kept(name):
            return 0.0
        return next((bits for means, bits in self.bits if means(name)), 0.0)


def _bits(packing: Mapping[str, Any]) -> float:
    method = str(packing.get("quant_method", ""))
    if method == "bitsandbytes" and packing.get("load_in_8bit"):
        return 8.0
    if method == bitnet.METHOD and bitnet.online(packing):
        return 0.0                                          # stored as they were
    said = packing.get("bits")
    if isinstance(said, (int, float)) and 1 < said <= 16:
        return float(said) + 0.25
    return PACKED.get(method, 0.0) or PACKED.get(str(packing.get("quant_algo", "")).lower(), 0.0)


def _groups(found: Any) -> list[tuple[Callable[[str], bool], float]]:
    """What a configuration of several groups means, and the bits of one weight with its share of a scale: those that
    name weights first, then those that name a class (Linear)."""
    precise, broad = [], []
    for each in found.values() if isinstance(found, Mapping) else ():
        weights = each.get("weights") if isinstance(each, Mapping) else None
        if not isinstance(weights, Mapping) or not (bits := _whole(weights, "num_bits", 16)):
            continue
        size = _whole(weights, "group_size", 1 << 20)
        shared = 8 if weights.get("type") == "float" and size in EXPONENTS else 16
        cost = bits + (shared + (0 if weights.get("symmetric", True) else bits)) / size if size else bits + 0.01
        targets = words(each.get("targets"))
        if names := [name for name in targets if name.startswith(EXPRESSION) or "." in name]:
            precise.append((named(names), cost))
        if len(names) < len(targets) or not targets:
            broad.append((lambda _: True, cost))
    return [*precise, *broad]


def _whole(table: Mapping[str, Any], name: str, most: int) -> int:
    """A whole number from 1 to `most`; 0 for whatever else stands there."""
    found = table.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found <= most else 0
