"""Paired bootstrap: how sure a retention is. The same resampled items judge teacher, student and control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nexus_specs import Metric

AT_ONCE = 1 << 21
"""Indices drawn at once, so that memory does not grow with the number of items."""
ENDS = (0.025, 0.975)


@dataclass(frozen=True)
class Judgement:
    """What the resamples say."""

    retention_low: float
    retention_high: float
    gap_judged: bool
    """Whether the 95 % interval of teacher - control leaves zero out."""


def judge(
    metric: Metric,
    teacher: Sequence[Sequence[float]],
    student: Sequence[Sequence[float]],
    control: Sequence[Sequence[float]],
    floor: float,
    *,
    draws: int,
    seed: int,
) -> Judgement:
    """Rows of the same items in the same order, under one metric; the floor is taken as known."""
    models = [np.asarray(rows, dtype=np.float64) for rows in (teacher, student, control)]
    full, kept, plain = resampled(metric, models, draws, seed)
    reach = full - floor
    told = reach != 0                       # a draw on which the teacher knows nothing: only equality keeps it all
    retention = np.where(told, (kept - floor) / np.where(told, reach, 1.0), (kept == full).astype(float))
    low, high = np.quantile(retention, ENDS)
    least, most = np.quantile(full - plain, ENDS)
    return Judgement(float(low), float(high), bool(least > 0 or most < 0))


def resampled(metric: Metric, models: Sequence[np.ndarray], draws: int, seed: int) -> list[np.ndarray]:
    """The score of each model on each draw of items: one [draws] for each."""
    generator, items = np.random.default_rng(seed), len(models[0])
    found: list[list[np.ndarray]] = [[] for _ in models]
    step = max(1, AT_ONCE // items)
    for first in range(0, draws, step):
        picks = generator.integers(items, size=(min(step, draws - first), items))
        for scores, rows in zip(found, models, strict=True):
            scores.append(reduce_many(metric, rows, picks))
    return [np.concatenate(scores) for scores in found]


def reduce_many(metric: Metric, rows: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """`metric.reduce` of each choice of rows [draws, items]; vectorised where the metric has a `reduce_many`."""
    if fast := getattr(metric, "reduce_many", None):
        return np.asarray(fast(rows, picks), dtype=np.float64)
    return np.asarray([metric.reduce(rows[pick]) for pick in picks], dtype=np.float64)
