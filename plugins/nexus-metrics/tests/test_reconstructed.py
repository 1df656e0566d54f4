"""Metrics of signals that are made again, against values worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nexus_metrics.plugin as plugin
import numpy as np
import pytest
from nexus_metrics.reconstructed import MeanSquaredError, SignalToDistortion, VarianceExplained, decibels
from nexus_specs import NexusError, Sample
from nexus_specs.testing import MetricTests, sample

RANDOM = np.random.default_rng(0)
SOUNDS = [RANDOM.standard_normal(64) for _ in range(3)]


class TestSquares(MetricTests):
    plugin = plugin
    name = "mean_squared_error"

    def samples(self) -> list[Sample]:
        return [sample(text=str(at)) for at in range(3)]

    def outputs(self) -> dict[str, list]:
        return {"prediction": [np.ones((2, 3))] * 3, "target": [np.full((2, 3), at) for at in range(3)]}


class TestVariance(TestSquares):
    name = "variance_explained"

    def outputs(self) -> dict[str, list]:
        return {"prediction": [np.zeros((4, 2))] * 3, "target": [RANDOM.standard_normal((4, 2)) for _ in range(3)]}


class TestDistortion(MetricTests):
    plugin = plugin
    name = "signal_to_distortion"

    def samples(self) -> list[Sample]:
        return [sample(audio=each) for each in SOUNDS]

    def outputs(self) -> dict[str, list]:
        return {"answer": [each + 0.1 * np.cos(np.arange(64)) for each in SOUNDS]}


def test_squares_and_variance_by_hand() -> None:
    target = np.array([[0.0, 0.0], [2.0, 4.0]])
    outputs: Mapping[str, Any] = {"prediction": [np.array([[0.0, 0.0], [2.0, 2.0]])], "target": [target]}
    assert MeanSquaredError().measure([sample(text="a")], outputs) == [(4.0, 4.0)]
    assert VarianceExplained().measure([sample(text="a")], outputs) == [(6.0, 10.0)]
    assert VarianceExplained().reduce([(6.0, 10.0)]) == pytest.approx(0.6)
    learned = {"prediction": [np.concatenate([target, target + 9], 1)], "target": [target]}
    assert MeanSquaredError().measure([sample(text="a")], learned) == [(0.0, 4.0)]
    with pytest.raises(NexusError, match="shape"):
        MeanSquaredError().measure([sample(text="a")], {"prediction": [np.zeros(3)], "target": [target]})
    named = MeanSquaredError(found="made", wanted="real")
    assert [tap.path for tap in named.taps] == ["made", "real"]


def test_distortion_does_not_mind_loudness() -> None:
    signal = np.sin(np.arange(1000))
    noise = np.cos(np.arange(1000) * 1.7)
    noise -= noise @ signal / (signal @ signal) * signal
    noise *= np.linalg.norm(signal) / np.linalg.norm(noise) / 10
    assert decibels(signal + noise, signal) == pytest.approx(20, abs=0.1)
    assert decibels(5 * (signal + noise), signal) == pytest.approx(20, abs=0.1)
    assert decibels(signal, signal) == 100
    assert decibels(signal, np.zeros(1000)) is None
    assert SignalToDistortion().floor([], [sample(audio=signal)]) == 0


def test_a_sound_that_breaks_off_is_not_clear() -> None:
    sound = np.sin(np.arange(1000) / 5)
    assert decibels(sound[:980], sound) == 100, "a frame that is missing at the end"
    assert (decibels(sound[:300], sound) or 0) < 0
    assert decibels(np.zeros(0), sound) is not None, "nothing is an answer, too"
    assert decibels(sound, np.zeros(0)) is None
