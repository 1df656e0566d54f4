"""The expected log-probability of listed tokens, with a gradient made in one pass.

Autograd on gather and logsumexp holds four tensors as large as the logits and makes the softmax twice; this holds one.
Shapes: n positions, V vocabulary, K listed tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def expected(logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """sum_k w_k log softmax(logits)[id_k]: [n, V], [n, K], [n, K] -> [n]. Gradient: w at the ids, minus (sum w) q."""
    return _Expected.apply(logits, ids, weights)


class _Expected(Function):
    @staticmethod
    def forward(context: Any, logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        wide = torch.float64 if logits.dtype == torch.float64 else torch.float32
        log_q = torch.log_softmax(logits, -1, dtype=wide)
        context.save_for_backward(log_q, ids, weights)
        context.dtype = logits.dtype
        return (weights * log_q.gather(-1, ids)).sum(-1)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        log_q, ids, weights = context.saved_tensors
        scaled = weights * gradient[:, None]
        found = log_q.exp().mul_(-scaled.sum(-1, keepdim=True)).scatter_add_(-1, ids, scaled.to(log_q.dtype))
        return found.to(context.dtype), None, None
