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
    """Whether the teacher is better than the control on 95 % of the draws, and more."""


def judge(
    metric: Metric,
    teacher: Sequence[Sequence[float]],
    student: Sequence[Sequence[float]],
    control: Sequence[Sequence[float]],
    floor: float,
    *,
    higher: bool = True,
    draws: int,
    seed: int,
) -> Judgement:
    """Rows of the same items in the same order, under one metric; the floor is taken as known. `higher`: is better."""
    models = [np.asarray(rows, dtype=np.float64) for rows in (teacher, student, control)]
    full, kept, plain = (scores if higher else -scores for scores in resampled(metric, models, draws, seed))
    zero = floor if higher else -floor
    told = full > zero                      # elsewhere the teacher knows nothing: whoever is as good keeps it all
    reach = np.where(told, full - zero, 1.0)
    retention = np.where(told, (kept - zero) / reach, np.where(np.isnan(kept - full), np.nan, kept >= full))
    low, high = np.quantile(retention, ENDS)
    return Judgement(float(low), float(high), bool(np.quantile(full - plain, ENDS[0]) > 0))


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
