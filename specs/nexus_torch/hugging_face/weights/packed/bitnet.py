"""BitNet: weights of -1, 0 and 1 with one scale, and states that are rounded to eight bits before they are multiplied.

Offline, four weights lie in a byte: `weight [O / 4, I]`, the rows of its lowest two bits first, and `weight_scale [1]`
multiplies ("autobitlinear") or divides ("bitlinear") what comes out. Online, weights are stored whole and are brought
to -1, 0 and 1 as they are read, with the mean of their magnitudes as their scale. The models were trained with rounded
states, so these are a part of what they compute. Each sum and product is in the order of transformers' own classes,
which need a compiler: a state that is a rounding off may be rounded to another whole number.
Source: https://github.com/huggingface/transformers/blob/main/src/transformers/integrations/bitnet.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

from .layout import Layout, Settings, Stored, at_once, check, need

METHOD, DIVIDED, MULTIPLIED = "bitnet", "bitlinear", "autobitlinear"
IN_A_BYTE, SMALLEST, LOWEST, HIGHEST = 4, 1e-5, -128, 127


class Rounding(nn.Linear):
    """A linear module whose states are rounded; `how` says what becomes of the scale, "" where there is none."""

    how = ""

    def forward(self, input: Tensor) -> Tensor:
        """States [..., I] -> [..., O]."""
        if self.how == DIVIDED:
            by = HIGHEST / input.abs().max(dim=-1, keepdim=True).values.clamp(min=SMALLEST)
            made = linear((input * by).round().clamp(LOWEST, HIGHEST), self.weight) / (self.weight_scale * by)
            return made if self.bias is None else made + self.bias
        whole = input.float()
        by = HIGHEST / whole.abs().max(dim=-1, keepdim=True).values.clamp_(min=SMALLEST)
        made = linear(((whole * by).round().clamp(LOWEST, HIGHEST) / by).to(input.dtype), self.weight, self.bias)
        return made * self.weight_scale if self.how else made


def rounding(module: Any, settings: Settings) -> Any:
    """A transformers model on the meta device, with rounding modules where its configuration asks for them."""
    if settings.get("quant_method") != METHOD:
        return module
    how = "" if online(settings) else str(settings.get("linear_class", DIVIDED))
    kept = HfQuantizer.get_modules_to_not_convert(
        module, settings.get("modules_to_not_convert"), module._keep_in_fp32_modules
    )
    for path, each in list(module.named_modules()):
        if isinstance(each, nn.Linear) and should_convert_module(path, kept):
            module.set_submodule(path, _rounding(each, how))
    return module


def _rounding(of: nn.Linear, how: str) -> Rounding:
    kind: dict[str, Any] = {"device": "meta", "dtype": of.weight.dtype}
    made = Rounding(of.in_features, of.out_features, of.bias is not None, **kind)
    made.how = how
    if how:
        made.register_buffer("weight_scale", torch.ones(1, **kind))
    made.requires_grad_(of.weight.requires_grad).train(of.training)
    return made


def online(settings: Settings) -> bool:
    """Whether weights are stored as they were before they were brought to -1, 0 and 1."""
    return settings.get("linear_class") == MULTIPLIED and settings.get("quantization_mode", "offline") == "online"


def ternary(name: str, stored: Stored, settings: Settings, dtype: torch.dtype = torch.float32) -> Tensor:
    """`dtype` [O, I]: -1, 0 and 1, times their scale where the module has none (then float32)."""
    (weight,) = need(name, stored, "weight")
    if weight.dtype == torch.uint8:
        check(weight.ndim == 2 and not online(settings), name, f"has bytes of the shape {tuple(weight.shape)}")
        result = weight.new_empty(IN_A_BYTE * len(weight), weight.shape[1], dtype=dtype)
        for at, part in enumerate(result.chunk(IN_A_BYTE)):
            for some in at_once(*weight.shape) if not weight.is_meta else ():
                part[some] = ((weight[some] >> 2 * at) & 3).float().sub_(1)
        return result
    if not online(settings):
        return weight.float()
    scale = 1.0 / weight.float().abs().mean().clamp_(min=SMALLEST)
    return (weight.float() * scale).round_().clamp_(-1, 1) / scale


LAYOUT = Layout(".weight", ".weight", {"weight": (".weight",)}, ternary, narrow=True)


def made(module: nn.Module, targets: Mapping[str, tuple[str, Any]]) -> dict[str, tuple[Layout, Mapping[str, str]]]:
    """The stored weights of rounding modules: they are no other than those that stay as they are, seen alone."""
    names = {f"{path}.weight" for path, each in module.named_modules() if isinstance(each, Rounding)}
    return {key: (LAYOUT, {"weight": key}) for key, target in targets.items() if target[0] in names}


def known(settings: Settings) -> bool:
    """Whether all of it is read."""
    return settings.get("linear_class", DIVIDED) in (DIVIDED, MULTIPLIED) and not settings.get("use_rms_norm")
