"""Integers of few bits in int32 words with a scale and a zero for each group of inputs: GPTQ and AWQ.

GPTQ packs along the inputs (`qweight [I / 8, O]` at four bits), lowest bits first, of three bits 32 values in three
words; `g_idx [I]` names the group of every input, in any order after activation ordering; zeros are stored one too
small unless the format is "gptq_v2". AWQ ("gemm") packs along the outputs (`qweight [I, O / 8]`) in the order
0 2 4 6 1 3 5 7. Both: weight[o, i] = (q[i, o] - zero[g, o]) * scale[g, o].
Sources: https://github.com/AutoGPTQ/AutoGPTQ/blob/main/auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py and
https://github.com/casper-hansen/AutoAWQ/blob/main/awq/modules/linear/gemm.py
AutoRound packs in either of them, and says which: https://github.com/intel/auto-round (export_to_autoround/export.py)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .layout import Layout, Settings, Stored, at_once, check, fields, length, need, numbers, scaled, whole

GPTQ_BITS = (2, 3, 4, 8)
GPTQ_FORMATS = ("gptq", "gptq_v2")
AWQ_VERSION, AWQ_BITS = "gemm", 4
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Position in a word -> column."""
_V1, _V2, _AWQ = {"quant_method": "gptq"}, {"quant_method": "gptq", "format": "gptq_v2"}, {"quant_method": "awq"}
ROUNDED: Mapping[str, Mapping[str, str]] = {
    "auto_round:auto_gptq": _V1, "auto_round:gptq": _V1, "auto_round": _V2, "auto_round:gptqmodel": _V2,
    "auto_round:auto_awq": _AWQ, "auto_round:awq": _AWQ,
}  # fmt: skip
"""AutoRound's "packing_format" -> the settings of the layout that it means."""
AWQ_SHIFTS = tuple(AWQ_BITS * AWQ_ORDER.index(column) for column in range(len(AWQ_ORDER)))
"""Column -> its place in a word."""


def gptq(name: str, stored: Stored, settings: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """`dtype` [O, I]."""
    weight, zeros, scales = need(name, stored, "qweight", "qzeros", "scales")
    check(weight.dtype == zeros.dtype == torch.int32, name, f"lies in words of {weight.dtype}, which are not int32")
    bits = _bits(name, stored, settings)
    inputs, outputs = weight.shape[0] * 32 // bits, weight.shape[1]
    _fits(name, scales, zeros, outputs, bits)
    result = torch.empty(outputs, inputs, dtype=dtype, device=weight.device)
    if result.is_meta:
        return result                                       # asked what it would be, before anything is read
    groups = _groups(name, stored.get("g_idx"), inputs, scales.shape[0], settings)
    offset = 0 if gptq_format(settings) == "gptq_v2" else 1
    zero = ((fields(zeros, bits)[:, :outputs] + offset) & (2**bits - 1)).float().T.contiguous()
    turned, scale = weight.T.contiguous(), scales.float().T.contiguous()
    for some in at_once(outputs, inputs):
        result[some] = scaled(numbers(turned[some], bits), zero[some], scale[some], groups)
    return result


def gptq_format(settings: Settings) -> str:
    """How GPTQ's tensors lie, as the settings name it."""
    said = settings.get("checkpoint_format") or settings.get("format")
    return "marlin" if settings.get("is_marlin_format") else str(said or "gptq").lower()


def rounded(settings: Settings) -> Settings:
    """AutoRound's settings as those of the layout that they mean; as they are where it is none of these, or where the
    states that pass are rounded too."""
    found = ROUNDED.get(str(settings.get("packing_format")))
    whole_numbers = settings.get("data_type", "int") == "int" and (settings.get("act_bits") or 16) >= 16
    return {**settings, **found} if found and whole_numbers else settings


def awq(name: str, stored: Stored, settings: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """`dtype` [O, I]."""
    weight, zeros, scales = need(name, stored, "qweight", "qzeros", "scales")
    check(weight.dtype == zeros.dtype == torch.int32, name, f"lies in words of {weight.dtype}, which are not int32")
    place = len(AWQ_ORDER)
    inputs, outputs = weight.shape[0], weight.shape[1] * place
    _fits(name, scales, zeros, outputs, AWQ_BITS)
    groups = _groups(name, None, inputs, scales.shape[0], settings)
    result = torch.empty(outputs, inputs, dtype=dtype, device=weight.device)
    if result.is_meta:
        return result
    turned, zero, scale = weight.T.contiguous(), _by_outputs(zeros.T.contiguous()), scales.float().T.contiguous()
    for some in at_once(len(turned), inputs * place):
        rows = slice(some.start * place, some.stop * place)
        result[rows] = scaled(_by_outputs(turned[some]), zero[rows], scale[rows], groups)
    return result


def awq_version(settings: Settings) -> str:
    """How AWQ's tensors lie, as the settings name it."""
    return str(settings.get("version") or settings.get("format") or AWQ_VERSION).lower()


def _bits(name: str, stored: Stored, settings: Settings) -> int:
    """The configured bits where the shapes are of so many; else the only ones that they are of: a checkpoint may have
    other bits in some layers ("dynamic")."""
    said = whole(settings, "bits", 4, 2, 8)
    weight, zeros, order = stored["qweight"], stored["qzeros"], stored.get("g_idx")

    def fits(bits: int) -> bool:
        inputs = weight.shape[0] * 32 if order is None else order.numel() * bits
        return bool(weight.shape[0] * 32 == inputs and zeros.shape[1] == length(weight.shape[1], bits))

    shapes = f"has words {tuple(weight.shape)}, zeros {tuple(zeros.shape)}"
    check(weight.ndim == zeros.ndim == 2, name, shapes)
    found = [bits for bits in GPTQ_BITS if fits(bits)]
    check(said in found or len(found) == 1, name, f"{shapes}, which are not of {said} bits")
    return said if said in found else found[0]


def _by_outputs(words: Tensor) -> Tensor:
    """AWQ's words, turned [N, R] -> values [8 N, R], float32."""
    shifts = torch.tensor(AWQ_SHIFTS, dtype=torch.int32)[:, None]
    return (words[:, None] >> shifts).bitwise_and_(2**AWQ_BITS - 1).float().flatten(0, 1)


def _groups(name: str, given: Tensor | None, inputs: int, count: int, settings: Settings) -> Tensor:
    """The group of each input [I]."""
    if given is None:
        size = whole(settings, "group_size", settings.get("q_group_size", -1))
        size = inputs if size <= 0 else size
        if settings.get("dynamic") and count and inputs % count == 0:
            size = inputs // count                          # GPTQModel: groups of their own in some layers
        check(-(-inputs // size) == count, name, f"has {inputs} inputs in groups of {size}, and {count} rows of scales")
        return torch.arange(inputs) // size
    check(given.numel() == inputs, name, f"has {inputs} inputs and a g_idx of {given.numel()}")
    check(inputs == 0 or (int(given.min()) >= 0 and int(given.max()) < count), name, "has a g_idx beyond its scales")
    return given.long()


def _fits(name: str, scales: Tensor, zeros: Tensor, outputs: int, bits: int) -> None:
    shapes = f"has {outputs} outputs, scales {tuple(scales.shape)} and zeros {tuple(zeros.shape)}"
    check(scales.shape[1] == outputs and zeros.shape == (scales.shape[0], length(outputs, bits)), name, shapes)


_ROLES = {"qweight": (".qweight",), "qzeros": (".qzeros",), "scales": (".scales",), "g_idx": (".g_idx",)}
GPTQ = (Layout(".qweight", ".weight", _ROLES, gptq, narrow=True),)
AWQ = (Layout(".qweight", ".weight", _ROLES, awq, narrow=True),)
