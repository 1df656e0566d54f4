"""What an ablation costs: rows of statistics per sample, and the score of any choice of rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from nexus_specs import Blueprint, Metric, Sample, Tap
from torch import Tensor

Values = Mapping[tuple[str, str], Any]
"""(key, tap) -> value, of one edit."""


class Judge(Protocol):
    """Scores the teacher, intact and ablated."""

    @property
    def taps(self) -> tuple[Tap, ...]:
        """What it observes."""

    @property
    def rises(self) -> bool | None:
        """Whether a higher score is the better one; None where nobody says it."""

    def rows(self, samples: Sequence[Sample], values: Values, intact: Values) -> np.ndarray:
        """[n, k]: one row for each sample that can be judged, the same samples for every edit."""

    def scores(self, rows: np.ndarray, picks: np.ndarray) -> np.ndarray:
        """The score of each choice of rows: [draws, n] -> [draws]."""

    def floor(self, samples: Sequence[Sample], intact: Values) -> float:
        """The score of what knows nothing."""


class ByMetric:
    """The task's own metric, for those that move smoothly (likelihoods)."""

    def __init__(self, metric: Metric, *, rises: bool | None = None) -> None:
        self.metric, self.taps, self.rises = metric, tuple(metric.taps), rises

    def rows(self, samples: Sequence[Sample], values: Values, intact: Values) -> np.ndarray:
        """The metric's rows; samples that it cannot judge are left out."""
        outputs = {tap.path: [values[sample.key, tap.path] for sample in samples] for tap in self.taps}
        return np.asarray([row for row in self.metric.measure(samples, outputs) if len(row)], dtype=np.float64)

    def scores(self, rows: np.ndarray, picks: np.ndarray) -> np.ndarray:
        """Vectorised where the metric can."""
        return reduce_many(self.metric, rows, picks)

    def floor(self, samples: Sequence[Sample], intact: Values) -> float:
        """The metric's floor, learned from the profiled samples."""
        return self.metric.floor(samples, samples)


class ByDivergence:
    """KL(intact || ablated) between class probabilities: needs no label, and does not saturate as accuracy does.
    The floor is the divergence from the mean answer."""

    taps, rises = (Tap(path="output"),), False

    def rows(self, samples: Sequence[Sample], values: Values, intact: Values) -> np.ndarray:
        """[n, 1]."""
        before, after = (_logprobs(samples, each) for each in (intact, values))
        return np.asarray((before.exp() * (before - after)).sum(-1, keepdim=True))

    def scores(self, rows: np.ndarray, picks: np.ndarray) -> np.ndarray:
        """Means."""
        return np.asarray(rows[:, 0][picks].mean(1))

    def floor(self, samples: Sequence[Sample], intact: Values) -> float:
        """Divergence from the mean answer."""
        before = _logprobs(samples, intact)
        return float((before.exp() * (before - before.exp().mean(0).log())).sum(-1).mean())


class ByLikelihood:
    """Nats a token, for teachers whose metric judges generated answers; the floor is the uniform distribution."""

    taps, rises = (Tap(path="logprob"),), False

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def rows(self, samples: Sequence[Sample], values: Values, intact: Values) -> np.ndarray:
        """[n, 2]: nats and tokens; a sample of one token predicts nothing."""
        found = [values[sample.key, "logprob"] for sample in samples]
        return np.asarray([[-float(each.sum()), len(each)] for each in found if len(each)])

    def scores(self, rows: np.ndarray, picks: np.ndarray) -> np.ndarray:
        """Nats by tokens."""
        sums = rows[picks].sum(1)
        return np.asarray(sums[:, 0] / sums[:, 1])

    def floor(self, samples: Sequence[Sample], intact: Values) -> float:
        """ln V."""
        return math.log(self.vocabulary)


def judge(metric: Metric, blueprint: Blueprint, *, rises: bool | None = None) -> Judge:
    """The judge that suits a teacher and its metric; whether the metric `rises`, its component says."""
    paths = {tap.path for tap in metric.taps}
    if paths and "output" not in paths:
        return ByMetric(metric, rises=rises)
    return ByLikelihood(blueprint.vocabulary) if blueprint.gives == ("text",) else ByDivergence()


def reduce_many(metric: Metric, rows: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """`metric.reduce` of each choice of rows, vectorised where the metric offers it."""
    if fast := getattr(metric, "reduce_many", None):
        return np.asarray(fast(rows, picks))
    return np.asarray([metric.reduce(rows[pick]) for pick in picks])


def _logprobs(samples: Sequence[Sample], values: Values) -> Tensor:
    return torch.stack([values[sample.key, "output"] for sample in samples]).double().log_softmax(-1)
