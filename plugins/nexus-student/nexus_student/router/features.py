"""What the router sees of a text: hashed 1-, 2- and 3-byte grams, counted and damped, before any tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

SIZE = 4096
GRAMS = (1, 2, 3)
LONGEST = 4096
"""Bytes that are read of a text: a long prompt is routed by how it begins."""
WINDOW = 512
"""Bytes of the pieces from which rows and background are learned: damping depends on the length."""

_MIX, _STEP, _MIX_AGAIN, _SHIFT = 2654435761, 0x9E3779B1, 2246822519, 20
# two multiplicative hashes (Knuth's, and one of xxHash's); the upper 12 of 32 bits say which of 4096 counters

Vector = NDArray[np.float32]


def damped(data: bytes) -> Vector:
    """log(1 + count) of each counter, after Rennie et al. 2003, "Tackling the poor assumptions of naive Bayes":
    float32 [4096]. A gram that comes again says less."""
    values = np.frombuffer(data, dtype=np.uint8).astype(np.uint64)
    hits = [_hashed(values, length) for length in GRAMS if len(values) >= length]
    counts = np.bincount(np.concatenate(hits) if hits else np.empty(0, np.int64), minlength=SIZE)
    return np.log1p(counts).astype(np.float32)


def features(data: bytes) -> Vector:
    """The damped counts of a text's windows, scaled to sum 1; zero for an empty text: float32 [4096]."""
    found = np.zeros(SIZE, np.float32)
    for window in windows(data[:LONGEST]):
        found += damped(window)
    return found / max(float(found.sum()), 1.0)


def gathered(texts: Iterable[str]) -> NDArray[np.float64]:
    """The sum of the damped counts of all windows of texts: [4096]."""
    total = np.zeros(SIZE)
    for text in texts:
        for window in windows(encoded(text)):
            total += damped(window)
    return total


def encoded(text: str) -> bytes:
    """UTF-8; lone surrogates, which a prompt may hold, go through."""
    return text.encode("utf-8", "surrogatepass")


def windows(data: bytes, length: int = WINDOW) -> Iterator[bytes]:
    """Pieces of so many bytes; the last may be shorter."""
    for start in range(0, len(data), length):
        yield data[start : start + length]


def _hashed(values: NDArray[np.uint64], length: int) -> NDArray[np.int64]:
    code = np.full(len(values) - length + 1, length, dtype=np.uint64)
    for offset in range(length):
        code = code * np.uint64(257) + values[offset : offset + len(code)]
    low = np.uint64(0xFFFFFFFF)
    mixed = ((code * np.uint64(_MIX) + np.uint64(length * _STEP)) & low) * np.uint64(_MIX_AGAIN) & low
    return (mixed >> np.uint64(_SHIFT)).astype(np.int64)
