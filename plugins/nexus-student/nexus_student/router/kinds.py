"""The kinds of writing inside one tower's data: a standard library is code and the prose that explains it, and neither
looks like their mean. Each kind gets a log-ratio line of its own; a text is scored by the line that fits it best.

On the starter's development part, one line sends 9 % of the library's windows to the tower for prose, two send none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .background import background
from .features import SIZE, WINDOW, Vector, damped, encoded, windows

KINDS = 2
SMOOTHING = 4.0 * SIZE
"""Counts of the background that are added to those of the data."""
MOST = 4096
"""Windows that are looked at, taken evenly."""
ROUNDS = 12
_SHORTEST = WINDOW // 3


def lines(texts: Sequence[str]) -> Vector:
    """`log((n_j + a m_j) / (N + a)) - log m_j` for each kind of window in the texts: float32 [kinds, 4096]."""
    found = counted(texts)
    kinds = divided(found)
    return np.stack([line(found[kinds == kind].sum(0)) for kind in np.unique(kinds)])


def line(counts: NDArray[np.floating]) -> Vector:
    """The log ratios of counts [4096] against the background."""
    even = background().astype(np.float64)
    ratios = np.log((counts + SMOOTHING * even) / (counts.sum(dtype=np.float64) + SMOOTHING)) - np.log(even)
    return ratios.astype(np.float32)


def counted(texts: Sequence[str]) -> Vector:
    """The damped counts of windows of texts, short ones left out unless all are: float32 [windows, 4096]."""
    pieces = [piece for text in texts for piece in windows(encoded(text))]
    chosen = [piece for piece in pieces if len(piece) >= _SHORTEST] or pieces
    step = -(-len(chosen) // MOST)
    return np.stack([damped(piece) for piece in chosen[::step]])


def divided(found: Vector) -> NDArray[np.int64]:
    """The kind of each window: first the halves along the direction in which windows differ most, then each window
    goes to the line that fits it best, until none changes."""
    shares = found / np.maximum(found.sum(1, keepdims=True), 1.0)
    along = shares @ _principal(shares - shares.mean(0))
    kinds = np.digitize(along, np.quantile(along, np.arange(1, KINDS) / KINDS))
    for _ in range(ROUNDS):
        present = np.unique(kinds)
        fits = shares @ np.stack([line(found[kinds == kind].sum(0)) for kind in present]).T
        after = present[fits.argmax(1)]
        if (after == kinds).all():
            break
        kinds = after
    return kinds.astype(np.int64)


def _principal(centred: Vector) -> Vector:
    """The first principal direction, by power iteration from a fixed start."""
    direction = np.cos(np.arange(centred.shape[1], dtype=np.float32))
    for _ in range(30):
        direction = centred.T @ (centred @ direction)
        direction /= max(float(np.linalg.norm(direction)), 1e-12)
    return direction.astype(np.float32)
