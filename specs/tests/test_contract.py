"""The contract of a release: retention, gap closed, pass or fail."""

import dataclasses
import math

import pytest
from nexus_specs import Choice, Verdict, fraction

VERDICT = Verdict(
    capability="digits",
    teacher="digits",
    tower="digits",
    metric=Choice(kind="metric", name="accuracy"),
    data=Choice(kind="reader", name="parquet"),
    teacher_score=0.9,
    student_score=0.86,
    forced_score=0.87,
    control_score=0.7,
    floor=0.1,
    retention_low=0.95,
    retention_high=0.99,
    gap_judged=True,
)


@pytest.mark.parametrize(
    ("value", "full", "zero", "kept"),
    [
        (0.86, 0.9, 0.1, 0.95),
        (1.8, 1.75, 2.75, 0.95),
        (0.1, 0.9, 0.1, 0.0),
        (1.0, 0.9, 0.1, 1.125),
        (0.0, 0.9, 0.1, -0.125),
    ],
)
def test_fraction_needs_no_direction(value, full, zero, kept):
    assert fraction(value, full, zero) == pytest.approx(kept)


def test_fraction_of_nothing_is_no_number():
    assert math.isnan(fraction(1.0, 0.5, 0.5))


def test_retention_is_measured_from_the_floor_and_the_gap_from_the_control():
    assert VERDICT.retention == pytest.approx(0.95)
    assert VERDICT.gap_closed == pytest.approx(0.8)


def test_gap_is_not_judged_where_control_and_teacher_cannot_be_told_apart():
    assert dataclasses.replace(VERDICT, gap_judged=False).gap_closed is None


@pytest.mark.parametrize(("share", "passed"), [(0.95, True), (0.951, False)])
def test_the_lower_end_of_the_interval_decides(share, passed):
    assert VERDICT.passed(share) is passed


def test_a_teacher_that_knows_nothing_leaves_nothing_to_keep() -> None:
    ignorant = dataclasses.replace(VERDICT, teacher_score=0.05, student_score=0.02, teacher_knows=False)
    assert math.isnan(ignorant.retention)
    assert not ignorant.passed(0.01)
