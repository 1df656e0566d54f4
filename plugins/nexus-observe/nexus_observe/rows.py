"""A model's statistics under a metric, sample by sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_specs import Budget, Context, Metric, Piece, Sample, Teacher

from .numbers import Row, numbers
from .variants import compared, compares, conversation


class Measured:
    """A sink that turns what it gets into rows and keeps nothing else. A metric with several taps is asked when the
    last of them is there."""

    def __init__(self, samples: Sequence[Sample], metric: Metric) -> None:
        self.metric, self.samples = metric, {sample.key: sample for sample in samples}
        self.paths = frozenset(tap.path for tap in metric.taps)
        self.waiting: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, Row] = {}

    def put(self, piece: Piece) -> None:
        """Measures every sample whose taps are complete."""
        for key, value in zip(piece.keys, piece.values, strict=True):
            found = self.waiting.setdefault(key, {})
            found[piece.tap] = value
            if found.keys() == self.paths:
                outputs = {path: [each] for path, each in self.waiting.pop(key).items()}
                self.rows[key] = row(self.metric, self.samples[key], outputs)

    def flush(self) -> None:
        """Nothing waits."""


def measure(teacher: Teacher, samples: Sequence[Sample], metric: Metric, *, chat: bool = False) -> dict[str, Row]:
    """Key -> row; an empty row where the metric cannot judge a sample (no label). `chat`: a question that is answered
    is written by the teacher's chat template."""
    if compares(metric):
        return compared(teacher, samples, metric)
    if not metric.taps:
        answers = teacher.generate([conversation(sample) for sample in samples] if chat else samples)
        pairs = zip(samples, answers, strict=True)
        return {sample.key: row(metric, sample, {"answer": [answer]}) for sample, answer in pairs}
    sink = Measured(samples, metric)
    teacher.observe(samples, metric.taps, sink)
    return sink.rows


def once(samples: Iterable[Sample]) -> list[Sample]:
    """The samples, each key once."""
    return list({sample.key: sample for sample in samples}.values())


def rises(context: Context, teacher: str = "") -> bool:
    """Whether a teacher's metric is better where it is higher, as its plugin declares."""
    name = context.choices("metric", teacher)[0].name
    return bool(getattr(context.components("metric").get(name), "higher_is_better", True))


def knows(score: float, floor: float, *, higher: bool) -> bool:
    """Whether a score is better than that of what knows nothing.

    >>> knows(1.7, 3.9, higher=False), knows(1.7, 3.9, higher=True)
    (True, False)
    """
    return score > floor if higher else score < floor


def exact(budget: Budget) -> Budget:
    """The budget in float32 and not quantised: what is judged is the model itself, whatever a machine multiplies
    natively. What would only fit quantised is streamed instead; what is to be streamed is so always."""
    held = "auto" if budget.quantise and budget.residency != "stream" else budget.residency
    return dataclasses.replace(budget, precision="float32", quantise="", residency=held)


def row(metric: Metric, sample: Sample, outputs: Mapping[str, Sequence[Any]]) -> Row:
    """One sample's row, as plain numbers."""
    return numbers(metric, metric.measure([sample], outputs))


def judged(rows: Mapping[str, Row]) -> list[Row]:
    """The rows that say something."""
    return [each for each in rows.values() if each]
