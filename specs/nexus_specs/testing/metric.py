"""Checks of metrics: a row for each sample, a score that forgets their order, a floor, no crash without labels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..data import Sample
from ..observation import Tap
from ..teachers import Metric
from ..work import NexusError
from .base import ComponentTests
from .values import close

Outputs = Mapping[str, Sequence[Any]]
Rows = list[tuple[float, ...]]


def measured(metric: Metric, samples: Sequence[Sample], outputs: Outputs) -> Rows:
    """The rows, as tuples of floats."""
    return [tuple(float(number) for number in row) for row in metric.measure(samples, outputs)]


def check_taps(metric: Metric, outputs: Outputs) -> None:
    """Taps are a tuple of `Tap`; a metric without any judges answers."""
    assert isinstance(metric.taps, tuple) and all(isinstance(tap, Tap) for tap in metric.taps), (
        f"`taps` is {metric.taps!r}. Give a tuple of nexus_specs.Tap, as in (Tap(path='logprob'),), or () for answers."
    )
    taps = metric.taps or [tap for tap in getattr(metric, "observed", ()) if not tap.optional]
    wanted = {tap.path for tap in taps} or {"answer"}
    assert wanted <= set(outputs), (
        f"The metric taps {sorted(wanted)}, but `outputs()` of the test gives {sorted(outputs)}. Give those."
    )


def check_rows(metric: Metric, samples: Sequence[Sample], outputs: Outputs) -> None:
    """One row of finite numbers for each sample."""
    rows = metric.measure(samples, outputs)
    assert len(rows) == len(samples), (
        f"`measure` gave {len(rows)} rows for {len(samples)} samples. Give one row for each, in their order, "
        f"an empty one where the sample lacks what you need: the bootstrap draws samples."
    )
    for row in rows:
        assert isinstance(row, (list, tuple)), (
            f"A row is a {type(row).__name__}. Give a list or tuple of numbers, as in (correct,) or (bits, bytes)."
        )
        assert all(isinstance(number, (int, float)) and math.isfinite(number) for number in row), (
            f"The row {row!r} holds something that is no finite number. Call `float(…)` on tensors; rows become JSON."
        )
    assert any(len(row) for row in rows), "All rows are empty. Give the test samples what the metric needs (a label)."


def check_independence(metric: Metric, samples: Sequence[Sample], outputs: Outputs) -> None:
    """A sample's row is the same alone, beside others and in another order."""
    rows = measured(metric, samples, outputs)
    for index, sample in enumerate(samples):
        alone = measured(metric, [sample], {tap: [values[index]] for tap, values in outputs.items()})
        assert close(alone[0], rows[index], 1e-6), (
            f"The row of one sample is {alone[0]} alone and {rows[index]} beside others. Let a row depend on its own "
            f"sample only, and keep no state between calls: pieces arrive in any order and size."
        )


def check_reduce(metric: Metric, rows: Rows) -> None:
    """One finite number, whatever the order of the rows, with empty ones left out."""
    score = metric.reduce(rows)
    assert isinstance(score, (int, float)) and math.isfinite(score), (
        f"`reduce` gave {score!r}. Return one finite float: the score of these rows."
    )
    assert math.isclose(metric.reduce(rows[::-1]), score, rel_tol=1e-9), (
        "`reduce` gives another score for the rows in reverse. Let it depend on what the rows are, not on their order."
    )
    try:
        padded = metric.reduce([(), *rows, ()])
    except Exception as error:
        raise AssertionError(
            f"`reduce` raised {type(error).__name__} for an empty row ({error}). Leave empty rows out: they are "
            f"samples without a label."
        ) from error
    assert math.isclose(padded, score, rel_tol=1e-9), (
        f"Two empty rows changed the score from {score} to {padded}. Leave empty rows out of sum and count."
    )


def check_nothing(metric: Metric) -> None:
    """No row at all: nan, or an error in words."""
    for rows in ([], [()]):
        try:
            score = metric.reduce(rows)
        except NexusError:
            continue
        except Exception as error:
            raise AssertionError(
                f"`reduce({rows})` raised {type(error).__name__}. Return nan, or raise a NexusError that says that no "
                f"sample has what the metric needs."
            ) from error
        assert math.isnan(score), f"`reduce({rows})` gave {score}. Nothing was measured: return nan."


def check_unlabelled(metric: Metric, samples: Sequence[Sample], outputs: Outputs) -> None:
    """A sample whose label is unknown gives an empty row (or needs no label); it never stops the metric."""
    bare = [
        dataclasses.replace(sample, fields={name: item for name, item in sample.fields.items() if name != "label"})
        for sample in samples
    ]
    try:
        rows = measured(metric, bare, outputs)
    except Exception as error:
        raise AssertionError(
            f"`measure` raised {type(error).__name__} for a sample without a label ({error}). Give an empty row "
            f"for it: most of the training data have no label."
        ) from error
    full = measured(metric, samples, outputs)
    assert all(row == () or row == known for row, known in zip(rows, full, strict=True)), (
        "`measure` gave another row when the label was taken away. Give an empty row where there is no label; "
        "a guess would count as an observation."
    )


def check_floor(metric: Metric, train: Sequence[Sample], held_out: Sequence[Sample]) -> None:
    """A finite score, the same each time, from labels or text alone."""
    found = metric.floor(iter(train), held_out)
    assert isinstance(found, (int, float)) and math.isfinite(found), (
        f"`floor` gave {found!r}. Return the score of what knows nothing, as a finite float: the share of the "
        f"commonest label, a bigram model of the bytes. Retention is measured from it."
    )
    assert metric.floor(iter(train), held_out) == found, (
        "`floor` gave another value the second time. Compute it from the samples, without drawing at random."
    )


class MetricTests(ComponentTests):
    """A metric, on a few samples and the outputs of some model for them."""

    kind = "metric"

    def samples(self) -> Sequence[Sample]:
        """At least two samples, with labels if the metric needs them."""
        raise NotImplementedError("Give `samples()`: a few samples that the metric can judge.")

    def outputs(self) -> Outputs:
        """Path of each tap (or "answer") -> one value for each sample, as an engine gives it."""
        raise NotImplementedError("Give `outputs()`: {tap path: one value for each sample}.")

    def train(self) -> Sequence[Sample]:
        """Training samples for the floor."""
        return self.samples()

    def test_taps_are_named(self) -> None:
        check_taps(self.component(), self.outputs())

    def test_one_row_for_each_sample(self) -> None:
        check_rows(self.component(), self.samples(), self.outputs())

    def test_rows_are_independent(self) -> None:
        check_independence(self.component(), self.samples(), self.outputs())

    def test_reduce_forgets_order_and_leaves_out_empty_rows(self) -> None:
        metric = self.component()
        check_reduce(metric, measured(metric, self.samples(), self.outputs()))

    def test_nothing_measured_is_no_score(self) -> None:
        check_nothing(self.component())

    def test_missing_label_is_no_error(self) -> None:
        check_unlabelled(self.component(), self.samples(), self.outputs())

    def test_floor_knows_nothing(self) -> None:
        check_floor(self.component(), self.train(), self.samples())
