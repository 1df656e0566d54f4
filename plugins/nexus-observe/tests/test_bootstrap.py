"""Intervals: paired, deterministic, of the right width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from nexus_observe.bootstrap import judge, resampled
from nexus_specs import Installed


class Mean:
    """A metric without a fast way."""

    taps = ()

    def reduce(self, rows: Sequence[Sequence[float]]) -> float:
        return float(np.mean([row[0] for row in rows]))


def rows(share: float, items: int = 400) -> list[tuple[float]]:
    return [(float(value),) for value in np.random.default_rng(1).random(items) < share]


def test_a_student_equal_to_its_teacher_keeps_everything_on_every_draw() -> None:
    found = judge(Mean(), rows(0.9), rows(0.9), rows(0.5), 0.1, draws=200, seed=0)
    assert (found.retention_low, found.retention_high) == (1, 1)
    assert found.gap_judged


def test_a_control_as_good_as_the_teacher_is_not_judged() -> None:
    assert not judge(Mean(), rows(0.9), rows(0.9), rows(0.9), 0.1, draws=200, seed=0).gap_judged


def test_fast_and_slow_ways_agree_for_both_directions() -> None:
    metric = Installed().make("metric", "bits_per_byte")
    generator = np.random.default_rng(0)
    models = [np.stack([generator.random(50) * 300, generator.integers(90, 110, 50)], 1) for _ in range(3)]
    fast = resampled(metric, models, 50, seed=3)

    class Slow:
        reduce = staticmethod(metric.reduce)

    slow = resampled(Slow(), models, 50, seed=3)
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other)


def test_the_interval_has_the_width_that_theory_gives() -> None:
    teacher = [(1.0,)] * 1000
    student = [(float(value),) for value in np.random.default_rng(0).random(1000) < 0.9]
    found = judge(Mean(), teacher, student, [(0.0,)] * 1000, 0.0, draws=2000, seed=0)
    assert found.retention_high - found.retention_low == pytest.approx(2 * 1.96 * (0.9 * 0.1 / 1000) ** 0.5, rel=0.15)


def test_a_teacher_that_knows_nothing_is_kept_by_equality_alone() -> None:
    same = [(0.5,)] * 10
    assert judge(Mean(), same, same, same, 0.5, draws=100, seed=0).retention_low == 1
    assert judge(Mean(), same, [(0.4,)] * 10, same, 0.5, draws=100, seed=0).retention_high == 0


@pytest.mark.parametrize("higher", [True, False])
def test_a_student_worse_than_a_teacher_below_the_floor_keeps_nothing(higher: bool) -> None:
    def at(score: float) -> list[tuple[float]]:
        return [(score if higher else 1 - score,)] * 10

    worse = judge(Mean(), at(0.3), at(0.1), at(0.3), 0.5, higher=higher, draws=100, seed=0)
    assert (worse.retention_low, worse.retention_high) == (0, 0), "the fraction alone would say 2"
    better = judge(Mean(), at(0.9), at(0.7), at(0.3), 0.5, higher=higher, draws=100, seed=0)
    assert better.retention_low == pytest.approx(0.5)
    assert better.gap_judged


@pytest.mark.parametrize("higher", [True, False])
def test_a_control_better_than_the_teacher_leaves_no_gap_to_close(higher: bool) -> None:
    teacher, control = ([(score if higher else 1 - score,)] * 10 for score in (0.7, 0.9))
    floor = 0.1 if higher else 0.9
    assert not judge(Mean(), teacher, teacher, control, floor, higher=higher, draws=50, seed=0).gap_judged


def test_a_score_that_is_no_number_passes_nothing() -> None:
    found = judge(Mean(), rows(0.9), [(float("nan"),)] * 400, rows(0.5), 0.1, draws=50, seed=0)
    assert not found.retention_low >= 0
