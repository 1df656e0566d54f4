"""Gated low-rank cross-attention: how what a tower perceives enters a frozen core. Gate zero: exactly the identity.

`h + tanh(g) * O softmax(Q LN(h) (K m)^T) V m`, after Flamingo (https://arxiv.org/abs/2204.14198), with all four
projections of rank r. Shapes: B samples, T tokens, n latents, D width, r rank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class GatedCrossAttention(nn.Module):
    """What it adds to hidden states [B, T, D] that look at latents [B, n, D]."""

    def __init__(self, width: int, rank: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads if rank % heads == 0 else 1
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, rank, bias=False)
        self.key = nn.Linear(width, rank, bias=False)
        self.value = nn.Linear(width, rank, bias=False)
        self.out = nn.Linear(rank, width, bias=False)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, hidden: Tensor, latents: Tensor) -> Tensor:
        """[B, T, D], zero while the gate is."""
        query, key, value = (
            self._split(layer(each))
            for layer, each in ((self.query, self.norm(hidden)), (self.key, latents), (self.value, latents))
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        added: Tensor = torch.tanh(self.gate) * self.out(mixed.transpose(1, 2).flatten(2))
        return added.to(hidden.dtype)

    def _split(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def crossed_layers(count: int, named: tuple[int, ...]) -> tuple[int, ...]:
    """The layers behind which a tower looks in: those that it names, else every fourth, at least one.

    >>> crossed_layers(4, ()), crossed_layers(12, ()), crossed_layers(2, ())
    ((3,), (3, 7, 11), (1,))
    """
    return named or tuple(range(3, count, 4)) or (count - 1,)
