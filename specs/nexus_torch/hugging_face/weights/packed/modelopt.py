"""ModelOpt (NVIDIA's checkpoints in FP8 and NVFP4): floats of eight bits with scales of everything, rows or blocks;
floats of four bits packed into bytes, lowest first, with two scales.

NVFP4: `weight [O, I / 2]` of bytes, `weight_scale [O, I / 16]` in e4m3, to be multiplied by `weight_scale_2`. FP8 by
blocks: `weight_scale [O / 128, 1, I / 128, 1]`. What states are rounded to (`input_scale`) changes no weight.
Source: https://github.com/NVIDIA/TensorRT-Model-Optimizer (modelopt/torch/quantization/qtensor/nvfp4_tensor.py)
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import fp8
from .layout import Layout, Settings, Stored, at_once, check, four_bits, need

METHOD = "modelopt"
SHARED = 16
"""Inputs that share a scale in NVFP4."""
ALGORITHMS = ("FP8", "FP8_PB_WO", "FP8_PER_CHANNEL_PER_TOKEN", "MIXED_PRECISION", "MXFP8", "NVFP4")
"""Those whose tensors tell what they mean; the others (AWQ, SmoothQuant) scale states too, or store whole numbers."""


def algorithm(settings: Settings) -> str:
    """Its algorithm, as the settings name it."""
    return str(settings.get("quant_algo") or "").upper()


def four(name: str, stored: Stored, _: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """NVFP4: `dtype` [O, I]."""
    packed, scale, whole = need(name, stored, "weight", "scale", "whole")
    check(packed.dtype == torch.uint8, name, f"lies in {packed.dtype}, and floats of four bits in bytes")
    result = packed.new_empty(*packed.shape[:-1], 2 * packed.shape[-1], dtype=dtype)
    fits = scale.shape == (*result.shape[:-1], result.shape[-1] // SHARED)
    shapes = f"has the shape {tuple(packed.shape)}, scales {tuple(scale.shape)}"
    check(fits and result.shape[-1] % SHARED == 0, name, f"{shapes}, one for {SHARED} inputs")
    check(whole.numel() == 1, name, f"has a weight_scale_2 of the shape {tuple(whole.shape)}")
    by = scale.float() * whole.float().reshape(())
    if not result.is_meta:
        rows, packs, factors = (each.flatten(0, -2) for each in (result, packed, by))
        for some in at_once(*rows.shape):
            values = four_bits(packs[some])
            values.unflatten(1, (-1, SHARED)).mul_(factors[some, :, None])
            rows[some] = values
    return result


def eight(name: str, stored: Stored, _: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """Floats of eight bits: `dtype` [O, I]."""
    weight, scale = need(name, stored, "weight", "scale")
    check(weight.is_floating_point() and weight.dtype.itemsize == 1, name, f"lies in {weight.dtype}")
    if scale.ndim == 4:                                     # a block's, with a dimension for what lies in it
        scale = scale[:, 0, :, 0]
    small = {"quant_method": "mxfp8"} if scale.dtype == torch.uint8 else {}
    return fp8.dequantise(name, {"weight": weight, "scale": scale}, small, dtype)


_ROLES = {"weight": (".weight",), "scale": (".weight_scale",)}
LAYOUTS = (
    Layout(".weight_scale_2", ".weight", {**_ROLES, "whole": (".weight_scale_2",)}, four, narrow=True),
    Layout(".weight_scale", ".weight", _ROLES, eight, narrow=True),
)
