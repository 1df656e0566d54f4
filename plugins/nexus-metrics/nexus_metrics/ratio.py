"""Scores that are a ratio of sums: of first numbers over second numbers, or over the count of rows.

Shapes: n samples, k numbers a row, draws of the bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = Sequence[Sequence[float]] | NDArray[np.float64]


class Ratio:
    """`reduce` for rows [value] or [value, weight]: `factor` times the sum of values over that of weights."""

    factor = 1.0

    def reduce(self, rows: Rows) -> float:
        """The score of these rows, [n, k] or a list in which empty rows are left out; nan for none."""
        return float(self.reduce_many(rows, np.arange(len(rows))[None])[0])

    def reduce_many(self, rows: Rows, picks: NDArray[np.int64]) -> NDArray[np.float64]:
        """The score of every draw: `picks` [draws, n] are positions in `rows`. -> [draws]."""
        values, weights = _sums(rows)
        total, parts = values[picks].sum(1), weights[picks].sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(parts > 0, self.factor * total / parts, math.nan)


def _sums(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each row adds above and below the line; an empty one nothing."""
    if not isinstance(rows, np.ndarray):
        width = max((len(row) for row in rows), default=1)
        weighted = width > 1
        filled = [tuple(row) if len(row) else (0.0,) * (width if weighted else 2) for row in rows]
        rows = np.array([row if len(row) > 1 else (row[0], 1.0) for row in filled], np.float64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1] if rows.shape[1] > 1 else np.ones(len(rows))


def numbers(values: Any) -> NDArray[np.float64]:
    """A tensor of any library, an array or a list, as float64."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, np.float64)


def largest(values: NDArray[np.float64]) -> int:
    """The place of the largest; -1, which is no class, where one is no number (numpy takes that for the largest)."""
    return -1 if np.isnan(values).any() else int(values.argmax())
