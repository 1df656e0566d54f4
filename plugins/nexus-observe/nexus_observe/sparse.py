"""A next-token distribution in a few numbers, unbiased: the k most likely tokens exactly, and n draws from the rest.

With tail mass r = 1 - sum(top), every draw from the tail carries weight r/n, so the expected record is the
distribution itself, and the expected gradient of a cross entropy to it is exact. Top-k alone, renormalised, is worse
than no teacher at all. (Sparse logit sampling: Anshumann et al. 2025, arXiv 2503.16870; the hybrid keeps the head
exact and draws from the tail only.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor


def sparse(logits: Tensor, key: str, exact: int = 16, sampled: int = 16) -> tuple[Tensor, Tensor]:
    """Distributions over a vocabulary as `exact + sampled` tokens with their probabilities.

    `logits` [T, V] -> ids int64 [T, K] and probabilities float32 [T, K], which sum to 1; K = min(exact + sampled, V).
    The same sample key gives the same draws. A token may be drawn twice: its entries add up.
    """
    return sparse_blocks((logits,), key, exact, sampled)


def sparse_blocks(blocks: Iterable[Tensor], key: str, exact: int = 16, sampled: int = 16) -> tuple[Tensor, Tensor]:
    """The same of logits that come some rows at a time: those of a large vocabulary are never there whole."""
    generator = generator_of(key)
    rows = [_sparse(block, generator, exact, sampled) for block in blocks]
    ids, probabilities = zip(*rows, strict=True)
    return torch.cat(ids), torch.cat(probabilities)


def _sparse(logits: Tensor, generator: np.random.Generator, exact: int, sampled: int) -> tuple[Tensor, Tensor]:
    probabilities = logits.float().softmax(-1)
    vocabulary = probabilities.shape[-1]
    if exact + sampled >= vocabulary:
        ids = torch.arange(vocabulary, device=logits.device).expand(probabilities.shape)
        return ids.contiguous(), probabilities
    top, ids = probabilities.topk(exact, -1)
    drawn, weight = _tail(probabilities.scatter_(-1, ids, 0.0), uniforms(generator, len(logits), sampled))
    return torch.cat([ids, drawn], -1), torch.cat([top, weight.expand(-1, sampled)], -1)


def _tail(tail: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids [T, n] drawn in proportion to the tail [T, V] by inverting its sums, and the weight [T, 1] of each."""
    sums = tail.cumsum(-1)
    mass = sums[:, -1:]
    ids = torch.searchsorted(sums, draws.to(tail) * mass, right=True)
    return ids.clamp_(max=tail.shape[-1] - 1), mass / draws.shape[-1]


def generator_of(key: str) -> np.random.Generator:
    """Random numbers that depend on the key alone."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=seed))


def uniforms(generator: np.random.Generator, rows: int, columns: int) -> Tensor:
    """The next rows of numbers in [0, 1): float32 [rows, columns], one in each of `columns` equal strata.

    Stratified: draw j lies in [j/n, (j+1)/n), so the record stays unbiased and its variance falls.
    """
    noise = generator.random((rows, columns), dtype=np.float32)
    return torch.from_numpy((np.arange(columns, dtype=np.float32) + noise) / np.float32(columns))
