"""A next-token distribution in a few numbers, unbiased: the k most likely tokens exactly, and n draws from the rest.

With tail mass r = 1 - sum(top), every draw from the tail carries weight r/n, so the expected record is the
distribution itself, and the expected gradient of a cross entropy to it is exact. Top-k alone, renormalised, is worse
than no teacher at all. (Sparse logit sampling: Anshumann et al. 2025, arXiv 2503.16870; the hybrid keeps the head
exact and draws from the tail only.)
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor


def sparse(logits: Tensor, key: str, exact: int = 16, sampled: int = 16) -> tuple[Tensor, Tensor]:
    """Distributions over a vocabulary as `exact + sampled` tokens with their probabilities.

    `logits` [T, V] -> ids int64 [T, K] and probabilities float32 [T, K], which sum to 1; K = min(exact + sampled, V).
    The same sample key gives the same draws. A token may be drawn twice: its entries add up.
    """
    probabilities = logits.float().softmax(-1)
    vocabulary = probabilities.shape[-1]
    if exact + sampled >= vocabulary:
        ids = torch.arange(vocabulary, device=logits.device).expand(probabilities.shape)
        return ids.contiguous(), probabilities
    top, ids = probabilities.topk(exact, -1)
    drawn, weight = _tail(probabilities.scatter(-1, ids, 0.0), uniforms(key, len(logits), sampled))
    return torch.cat([ids, drawn], -1), torch.cat([top, weight.expand(-1, sampled)], -1)


def _tail(tail: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids [T, n] drawn in proportion to the tail [T, V] by inverting its sums, and the weight [T, 1] of each."""
    sums = tail.cumsum(-1)
    mass = sums[:, -1:]
    ids = torch.searchsorted(sums, draws.to(tail) * mass, right=True)
    return ids.clamp_(max=tail.shape[-1] - 1), mass / draws.shape[-1]


def uniforms(key: str, rows: int, columns: int) -> Tensor:
    """Numbers in [0, 1) that depend on the key alone: float32 [rows, columns], one in each of `columns` equal strata.

    Stratified: draw j lies in [j/n, (j+1)/n), so the record stays unbiased and its variance falls.
    """
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    generator = np.random.Generator(np.random.Philox(key=seed))
    noise = generator.random((rows, columns), dtype=np.float32)
    return torch.from_numpy((np.arange(columns, dtype=np.float32) + noise) / np.float32(columns))
