"""A model's statistics under a metric, sample by sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_specs import Budget, Metric, Piece, Sample, Teacher

Row = tuple[float, ...]


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


def measure(teacher: Teacher, samples: Sequence[Sample], metric: Metric) -> dict[str, Row]:
    """Key -> row; an empty row where the metric cannot judge a sample (no label)."""
    if not metric.taps:
        answers = teacher.generate(samples)
        pairs = zip(samples, answers, strict=True)
        return {sample.key: row(metric, sample, {"answer": [answer]}) for sample, answer in pairs}
    sink = Measured(samples, metric)
    teacher.observe(samples, metric.taps, sink)
    return sink.rows


def once(samples: Iterable[Sample]) -> list[Sample]:
    """The samples, each key once."""
    return list({sample.key: sample for sample in samples}.values())


def exact(budget: Budget) -> Budget:
    """The budget in float32 and not quantised: what is judged is the model itself, whatever a machine multiplies
    natively. What would only fit quantised is streamed instead."""
    held = "auto" if budget.quantise else budget.residency
    return dataclasses.replace(budget, precision="float32", quantise="", residency=held)


def row(metric: Metric, sample: Sample, outputs: Mapping[str, Sequence[Any]]) -> Row:
    """One sample's row, as plain numbers."""
    return tuple(float(number) for number in metric.measure([sample], outputs)[0])


def judged(rows: Mapping[str, Row]) -> list[Row]:
    """The rows that say something."""
    return [each for each in rows.values() if each]
