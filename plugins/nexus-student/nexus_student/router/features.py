"""What the router sees of a text: hashed counts of its 1-, 2- and 3-byte grams, before any tokenizer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIZE = 4096
GRAMS = (1, 2, 3)
LONGEST = 4096
"""Bytes that are read of a text: the route of a long prompt is decided by how it begins."""

_MIX, _STEP, _SHIFT = 2654435761, 0x9E3779B1, 20
# Knuth's multiplicative hash; the upper 12 of 32 bits say which of 4096 counters

Vector = NDArray[np.float32]


def counts(text: str | bytes) -> Vector:
    """How often each counter is hit: float32 [4096]."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    values = np.frombuffer(data[:LONGEST], dtype=np.uint8).astype(np.uint64)
    hits = [_hashed(values, length) for length in GRAMS if len(values) >= length]
    return np.bincount(np.concatenate(hits) if hits else [], minlength=SIZE).astype(np.float32)


def features(text: str | bytes) -> Vector:
    """log(1 + counts), scaled to sum 1; zero for an empty text: float32 [4096]."""
    damped = np.log1p(counts(text))
    return damped / max(float(damped.sum()), 1.0)


def _hashed(values: NDArray[np.uint64], length: int) -> NDArray[np.int64]:
    code = np.full(len(values) - length + 1, length, dtype=np.uint64)
    for offset in range(length):
        code = code * np.uint64(257) + values[offset : offset + len(code)]
    mixed = (code * np.uint64(_MIX) + np.uint64(length * _STEP)) & np.uint64(0xFFFFFFFF)
    return (mixed >> np.uint64(_SHIFT)).astype(np.int64)
