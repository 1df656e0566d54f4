"""A model of bytes that knows the byte before: the floor of every text metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

START = 256
BACKOFF = 1.0
"""How many observations the unigram is worth beside those of a context."""


class Bigram:
    """p(b | a) = (count(ab) + k p(b)) / (count(a) + k) with p(b) = (count(b) + 1) / (N + 256)."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        counts = np.zeros((START + 1, 256), np.float64)
        for text in texts:
            before, after = _pairs(text)
            np.add.at(counts, (before, after), 1)
        unigram = (counts.sum(0) + 1) / (counts.sum() + 256)
        smooth = (counts + BACKOFF * unigram) / (counts.sum(1, keepdims=True) + BACKOFF)
        self.logarithms: NDArray[np.float64] = np.log(smooth)

    def nats(self, texts: Sequence[bytes]) -> float:
        """What these texts cost, in all."""
        return -float(sum(self.logarithms[_pairs(text)].sum() for text in texts))


def _pairs(text: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each byte's predecessor (the start for the first) and the byte."""
    after = np.frombuffer(text, np.uint8).astype(np.int64)
    return np.concatenate([[START], after[:-1]])[: len(after)], after
