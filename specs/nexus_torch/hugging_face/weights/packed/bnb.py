"""What bitsandbytes stores: NF4 and FP4 (codes of four bits, a scale for each block, the scales themselves perhaps
quantised) and INT8 (rows scaled to their largest value).

Source: https://github.com/bitsandbytes-foundation/bitsandbytes/blob/main/bitsandbytes/functional.py (QuantState)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor

from .layout import Layout, Settings, Stored, at_once, check, looked_up, need, whole

INT8_MOST = 127
ROWS = 0
"""How rows that lie one after the other are called ("weight_format"). Releases before 0.45 also wrote the orders that
tensor cores of one generation take (col32, col_turing, col_ampere), which no release reads since.
"""


def four_bits(name: str, stored: Stored, _: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """`dtype` in the shape that the state names."""
    weight, absmax, codes, state = need(name, stored, "weight", "absmax", "quant_map", "state")
    facts = _facts(name, state)
    shape = facts.get("shape")
    check(isinstance(shape, list) and all(type(each) is int and each > 0 for each in shape), name, "has no shape")
    block, packed = whole(facts, "blocksize", 64, 1), weight.contiguous().view(torch.uint8).flatten()
    total = int(torch.tensor(shape).prod())
    fits = total <= 2 * packed.numel() <= total + 1 and codes.numel() == 16
    check(fits, name, f"does not hold {shape} values of 4 bits")
    scale = _scales(name, absmax, stored, facts)
    check(scale.numel() == -(-total // block), name, f"has {scale.numel()} scales for blocks of {block}")
    result, meaning = torch.empty(total, dtype=dtype), codes.float().tolist()
    for pair in at_once(-(-total // (2 * block)), 2 * block):       # whole bytes, if a block is not
        first, last = 2 * block * pair.start, min(total, 2 * block * pair.stop)
        values = looked_up(packed[first // 2 : -(-last // 2)], 4, meaning, high_first=True)[: last - first]
        whole_blocks = values.numel() // block * block
        values[:whole_blocks].view(-1, block).mul_(scale[first // block : last // block, None])
        values[whole_blocks:] *= scale[-1]
        result[first:last] = values
    return result.view(shape)


def eight_bits(name: str, stored: Stored, _: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """`dtype` [O, I]."""
    weight, scale = need(name, stored, "weight", "scale")
    shapes = f"has the shape {tuple(weight.shape)} and scales {tuple(scale.shape)}"
    check(weight.ndim == 2 and scale.numel() == weight.shape[0], name, shapes)
    order = stored.get("format")
    if order is not None and not order.is_meta and order.flatten().tolist() != [ROWS]:
        raise NexusError(
            f"The packed weight '{name}' lies in the order of one generation of tensor cores (weight_format "
            f"{order.flatten().tolist()}), which is not read; rows, {ROWS}, are. Pack the model again with "
            "bitsandbytes 0.45 or newer."
        )
    result, by = weight.new_empty(weight.shape, dtype=dtype), scale.float().reshape(-1, 1) / INT8_MOST
    for some in at_once(*weight.shape) if not weight.is_meta else ():
        result[some] = weight[some].float().mul_(by[some])
    return result


def _scales(name: str, absmax: Tensor, stored: Stored, facts: Mapping[str, Any]) -> Tensor:
    """The scale of each block [N], float32: as it is, or quantised itself ("double quantisation")."""
    if "nested_absmax" not in stored:
        return absmax.float().flatten()
    outer, codes = need(name, stored, "nested_absmax", "nested_quant_map")
    block, found = whole(facts, "nested_blocksize", 256, 1), absmax.flatten()
    check(found.dtype == torch.uint8 and codes.numel() == 256, name, "has scales that are not quantised to 8 bits")
    check(outer.numel() == -(-found.numel() // block), name, f"has {outer.numel()} scales of scales")
    by = outer.float().flatten().repeat_interleave(block)[: found.numel()]
    return codes.float()[found.to(torch.int32)] * by + float(facts.get("nested_offset", 0.0))


def _facts(name: str, state: Tensor) -> dict[str, Any]:
    """What the quantiser noted, as JSON in a tensor of bytes."""
    try:
        facts = json.loads(bytes(state.to(torch.uint8).tolist()))
    except ValueError:
        facts = None
    check(isinstance(facts, dict), name, "has a quant_state that is no JSON object")
    return dict(facts)


LAYOUTS = (
    Layout(
        ".absmax",
        "",
        {
            "weight": ("",),
            "absmax": (".absmax",),
            "quant_map": (".quant_map",),
            "nested_absmax": (".nested_absmax",),
            "nested_quant_map": (".nested_quant_map",),
            "state": (".quant_state.bitsandbytes__nf4", ".quant_state.bitsandbytes__fp4"),
        },
        four_bits,
        narrow=True,
    ),
    Layout(
        ".SCB",
        ".weight",
        {"weight": (".weight",), "scale": (".SCB",), "format": (".weight_format",)},
        eight_bits,
        narrow=True,
    ),
)
