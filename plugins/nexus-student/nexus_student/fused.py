"""The parts of an LFM2-type core between its matrix products, with derivatives by hand, for training on a processor.

transformers writes them as a dozen operations each, in float32 and with the tokens transposed; autograd keeps what all
of them made. These read and write the same values a few times: a step of a core of 4 layers at width 128 (4 x 400
tokens, bfloat16) takes a fifth less time. Evaluation, generation and devices other than processors run transformers'
own code. Shapes: B samples, T tokens, D width, K taps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from transformers.models.lfm2.modeling_lfm2 import Lfm2RMSNorm, Lfm2ShortConv

STEP = 32
"""What lengths of texts in training are multiples of."""


class GatedConvolution(torch.autograd.Function):
    """c * conv(b * x), each token seeing itself and the K - 1 before it: [B, T, 3 D] (b, c, x), [D, K] -> [B, T, D]."""

    @staticmethod
    def forward(context: Any, projected: Tensor, taps: Tensor) -> Tensor:
        """The taps in the dtype of the states."""
        inner, gate, state = projected.chunk(3, -1)
        taps = taps.to(projected.dtype)
        gated = inner * state
        mixed = _mixed(gated, taps)
        context.save_for_backward(projected, taps, gated, mixed)
        return mixed * gate

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        """The convolution's own derivative runs backwards in time; a tap's is a sum over all tokens, in float32."""
        projected, taps, gated, mixed = context.saved_tensors
        inner, gate, state = projected.chunk(3, -1)
        arrived = gradient * gate
        back = _mixed(arrived.flip(1), taps).flip(1)
        found = torch.cat((back * state, gradient * mixed, back * inner), -1)
        return found, _to_taps(arrived, gated, taps.shape[1]) if context.needs_input_grad[1] else None


class Norm(torch.autograd.Function):
    """w x / sqrt(mean(x^2) + eps) over the last dimension, the result in another dtype if that is wanted."""

    @staticmethod
    def forward(context: Any, states: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        """In float32 until the end (RMSNorm: arXiv 1910.07467)."""
        wide = states.float()
        scale = (torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square() / wide.shape[-1] + eps).rsqrt()
        normed = wide * scale
        context.save_for_backward(normed, scale, weight)
        context.dtype = states.dtype
        return (normed * weight).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        """dx = s (w g - n mean(n w g)) with n the normed states and s their scale."""
        normed, scale, weight = context.saved_tensors
        arrived = gradient.float()
        to_weight = (arrived * normed).flatten(0, -2).sum(0) if context.needs_input_grad[1] else None
        arrived = arrived * weight
        shared = (arrived * normed).mean(-1, keepdim=True)
        return torch.addcmul(arrived, normed, shared, value=-1).mul_(scale).to(context.dtype), to_weight, None, None


class FusedNorm(Lfm2RMSNorm):
    """The norm, in the dtype that the matrix products after it want."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[..., D] -> [..., D]"""
        if not _trains(hidden_states):
            return super().forward(hidden_states)  # type: ignore[no-any-return]
        wanted = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden_states.dtype
        return Norm.apply(hidden_states, self.weight, self.variance_epsilon, wanted)  # type: ignore[no-any-return]


class FusedConvolution(Lfm2ShortConv):
    """The gated short convolution, with the tokens where the matrix products leave them."""

    def forward(
        self, hidden_states: Tensor, past_key_values: Any = None, attention_mask: Any = None, **more: Any
    ) -> Any:
        """[B, T, D] -> [B, T, D]"""
        if not _trains(hidden_states) or past_key_values is not None or attention_mask is not None or self.bias:
            return super().forward(hidden_states, past_key_values, attention_mask, **more)
        return self.out_proj(GatedConvolution.apply(self.in_proj(hidden_states), self.conv.weight.squeeze(1)))


FUSED: dict[type[nn.Module], type[nn.Module]] = {Lfm2RMSNorm: FusedNorm, Lfm2ShortConv: FusedConvolution}


def fuse(core: nn.Module) -> None:
    """Lets a core's modules use these while they train on a processor. No weight and no name changes."""
    for module in core.modules():
        if type(module) in FUSED:
            module.__class__ = FUSED[type(module)]


def evened(states: Tensor) -> Tensor:
    """Zeros after the last token of texts in training, up to a multiple of `STEP`: [B, T, D] -> [B, T', D], T' >= T.

    oneDNN writes machine code for every new shape of a product and keeps the last 1024: with texts of ever other
    lengths that took a quarter of a step. No token sees what comes after it, and nobody reads what was added.
    """
    length = states.shape[1]
    return functional.pad(states, (0, 0, 0, -length % STEP)) if length > STEP and _trains(states) else states


def _trains(states: Tensor) -> bool:
    return torch.is_grad_enabled() and states.device.type == "cpu"


def _mixed(states: Tensor, taps: Tensor) -> Tensor:
    """sum_k taps[:, K - 1 - k] * states, k tokens later: [B, T, D], [D, K] -> [B, T, D]."""
    found = states * taps[:, -1]
    for back in range(1, min(taps.shape[1], states.shape[1])):
        found[:, back:] += states[:, :-back] * taps[:, -1 - back]
    return found


def _to_taps(arrived: Tensor, gated: Tensor, count: int) -> Tensor:
    """[B, T, D] of the result's gradient, [B, T, D] of what was mixed -> [D, K]."""
    length = arrived.shape[1]
    rows = [
        (arrived[:, back:] * gated[:, : length - back]).sum((0, 1), dtype=torch.float32) for back in range(count)
    ]
    return torch.stack(rows[::-1], -1)
