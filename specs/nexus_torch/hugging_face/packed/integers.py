"""Integers of few bits in int32 words with a scale and a zero for each group of inputs: GPTQ and AWQ.

GPTQ packs along the inputs (`qweight [I / 8, O]` at four bits), lowest bits first; `g_idx [I]` names the group of every
input, in any order after activation ordering; zeros are stored one too small unless the format is "gptq_v2".
AWQ ("gemm") packs along the outputs (`qweight [I, O / 8]`) in the order 0 2 4 6 1 3 5 7.
Both: weight[o, i] = (q[i, o] - zero[g, o]) * scale[g, o].
Sources: https://github.com/AutoGPTQ/AutoGPTQ/blob/main/auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py and
https://github.com/casper-hansen/AutoAWQ/blob/main/awq/modules/linear/gemm.py
"""

from __future__ import annotations

import torch
from nexus_specs import NexusError
from torch import Tensor

from .layout import Layout, Settings, Stored, check, need, whole

WORD = 32
GPTQ_BITS = (2, 4, 8)
"""Of three bits, values lie across words."""
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Position in a word -> column."""
COLUMNS = 1024
"""Outputs that are unpacked at a time: what a weight needs beside its result."""


def gptq(name: str, stored: Stored, settings: Settings) -> Tensor:
    """float32 [O, I]."""
    weight, zeros, scales = need(name, stored, "qweight", "qzeros", "scales")
    bits = whole(settings, "bits", 4, 2, 8)
    if bits not in GPTQ_BITS:
        raise NexusError(f"GPTQ of {bits} bits is not read; {', '.join(map(str, GPTQ_BITS))} are.")
    values = WORD // bits
    inputs, outputs = weight.shape[0] * values, weight.shape[1]
    groups = _groups(name, stored.get("g_idx"), inputs, scales.shape[0], settings)
    _fits(name, scales, zeros, outputs, values)
    offset = 0 if settings.get("checkpoint_format", settings.get("format")) == "gptq_v2" else 1
    zero = (_unpack(zeros, bits).flatten(1)[:, :outputs] + offset) & (2**bits - 1)
    result = torch.empty(outputs, inputs, dtype=torch.float32)
    for first in range(0, outputs, COLUMNS):
        some = slice(first, min(outputs, first + COLUMNS))
        found = _unpack(weight[:, some], bits).transpose(1, 2).flatten(0, 1)
        result[some] = _values(found, zero[:, some], scales[:, some], groups)
    return result


def awq(name: str, stored: Stored, settings: Settings) -> Tensor:
    """float32 [O, I]."""
    weight, zeros, scales = need(name, stored, "qweight", "qzeros", "scales")
    version = str(settings.get("version", settings.get("format", "gemm"))).lower()
    if version != "gemm" or settings.get("bits", 4) != 4:
        kind = f"version '{version}', {settings.get('bits', 4)} bits"
        raise NexusError(f"AWQ weights of this kind ({kind}) are not read; version 'gemm' with 4 bits is.")
    inputs, outputs = weight.shape[0], weight.shape[1] * len(AWQ_ORDER)
    groups = _groups(name, None, inputs, scales.shape[0], settings)
    _fits(name, scales, zeros, outputs, len(AWQ_ORDER))
    zero, place = _ordered(zeros), len(AWQ_ORDER)
    result = torch.empty(outputs, inputs, dtype=torch.float32)
    for first in range(0, outputs, COLUMNS):
        some = slice(first, min(outputs, first + COLUMNS))
        found = _ordered(weight[:, first // place : -(-some.stop // place)])
        result[some] = _values(found, zero[:, some], scales[:, some], groups)
    return result


def _values(found: Tensor, zero: Tensor, scales: Tensor, groups: Tensor) -> Tensor:
    """Integers [I, O], zeros and scales [G, O], the group of each input [I] -> values [O, I]."""
    return ((found - zero[groups]).float() * scales.float()[groups]).T


def _unpack(words: Tensor, bits: int) -> Tensor:
    """int32 [..., N] -> the values in each word, lowest first: int32 [..., N, 32 / bits]."""
    shifts = torch.arange(0, WORD, bits, dtype=torch.int32)
    return (words[..., None] >> shifts) & (2**bits - 1)


def _ordered(words: Tensor) -> Tensor:
    """AWQ's words [R, N] -> values [R, 8 N], column by column."""
    found = torch.empty(*words.shape, len(AWQ_ORDER), dtype=torch.int32)
    found[..., list(AWQ_ORDER)] = _unpack(words, 4)
    return found.flatten(-2)


def _groups(name: str, given: Tensor | None, inputs: int, count: int, settings: Settings) -> Tensor:
    """The group of each input [I]."""
    if given is None:
        size = whole(settings, "group_size", settings.get("q_group_size", -1))
        size = inputs if size <= 0 else size
        check(-(-inputs // size) == count, name, f"has {inputs} inputs in groups of {size}, and {count} rows of scales")
        return torch.arange(inputs) // size
    check(given.numel() == inputs, name, f"has {inputs} inputs and a g_idx of {given.numel()}")
    check(inputs == 0 or (int(given.min()) >= 0 and int(given.max()) < count), name, "has a g_idx beyond its scales")
    return given.long()


def _fits(name: str, scales: Tensor, zeros: Tensor, outputs: int, values: int) -> None:
    shapes = f"has {outputs} outputs, scales {tuple(scales.shape)} and zeros {tuple(zeros.shape)}"
    check(scales.shape[1] == outputs and zeros.shape == (scales.shape[0], -(-outputs // values)), name, shapes)


_ROLES = {"qweight": (".qweight",), "qzeros": (".qzeros",), "scales": (".scales",), "g_idx": (".g_idx",)}
GPTQ = (Layout(".qweight", ".weight", _ROLES, gptq),)
AWQ = (Layout(".qweight", ".weight", _ROLES, awq),)
