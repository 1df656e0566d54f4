"""How near one array is to another: reconstructions of codecs and autoencoders, predictions of denoisers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample, Tap
from numpy.typing import NDArray

from .options import PairOptions
from .ratio import Ratio, numbers
from .references import expected

SILENCE = 1e-10
"""A sum of squares below which there is nothing to compare with; as a share of one, what `CLEAREST` decibels are."""
LEAST = 0.9
"""The share of a sound that an answer gives back at least; frames at its end may be missing."""
CLEAREST = 100.0
"""Decibels: what is nearer than that is the same."""


class MeanSquaredError(Ratio):
    """Kind "metric": the mean squared difference of two values of a model ("prediction" and "target" of a denoiser,
    say); a row is [sum of squares, numbers]."""

    name = "mean_squared_error"

    def __init__(self, **options: Any) -> None:
        self.options = PairOptions(**options)
        self.taps = (Tap(path=self.options.found), Tap(path=self.options.wanted))

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From both taps."""
        pairs = zip(outputs[self.options.found], outputs[self.options.wanted], strict=True)
        return [self._row(*map(numbers, pair)) for pair in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """1: what says zero, where the target has unit variance, as noise and normalised latents have."""
        if not held_out:
            raise NexusError(f"{self.name} has nothing to score: there is no held-out sample.")
        return 1.0

    def _row(self, found: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[float, ...]:
        found = found.reshape(wanted.shape) if found.size == wanted.size else _cut(found, wanted)
        return (float(((found - wanted) ** 2).sum()), float(wanted.size))


class VarianceExplained(MeanSquaredError):
    """Kind "metric": 1 - (what is left) / (variance of the target about its mean over positions); a row is [explained,
    there was] by sums of squares."""

    name = "variance_explained"

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """0: what says the mean."""
        return 0.0 * super().floor(train, held_out)

    def _row(self, found: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[float, ...]:
        left, _ = super()._row(found, wanted)
        there = float(((wanted - wanted.mean(0, keepdims=True)) ** 2).sum())
        return (there - left, there) if there > SILENCE else ()


class SignalToDistortion(Ratio):
    """Kind "metric": scale-invariant signal-to-distortion ratio in decibels (Le Roux et al. 2019) of the sound that a
    model gives back against the sample's; a row is [decibels]."""

    taps: tuple[Tap, ...] = ()

    def __init__(self, **options: Any) -> None:
        self.options = PairOptions(**{"found": "answer", "wanted": "audio"} | options)
        if self.options.found != "answer":
            self.taps = (Tap(path=self.options.found),)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From the answer or tap, and the field "audio" of each sample; an empty row where it is missing or silent."""
        pairs = zip(samples, outputs[self.options.found], strict=True)
        return [self._row(expected(sample, self.options.wanted), found) for sample, found in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """0 dB: silence, whose error is the signal itself."""
        if not any(self.options.wanted in sample.fields for sample in held_out):
            lacks = self.options.wanted
            raise NexusError(f"signal_to_distortion has nothing to score: no held-out sample has {lacks}.")
        return 0.0

    def _row(self, wanted: Any, found: Any) -> tuple[float, ...]:
        if wanted is None:
            return ()
        value = decibels(numbers(found).ravel(), numbers(wanted).ravel())
        return () if value is None else (value,)


def decibels(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> float | None:
    """10 log10(|a s|² / |a s - x|²) with a s the projection of x on the signal s; None for silence. Codecs work in
    whole frames: what goes beyond the shorter one is left out, but an answer that breaks off is silent after it."""
    if len(found) < LEAST * len(wanted):
        found = np.concatenate([found, np.zeros(len(wanted) - len(found))])
    length = min(len(found), len(wanted))
    if not length:
        return None
    found, wanted = found[:length] - found[:length].mean(), wanted[:length] - wanted[:length].mean()
    power = float(wanted @ wanted)
    if power < SILENCE:
        return None
    kept = (found @ wanted) / power * wanted
    signal, noise = float(kept @ kept), float(((kept - found) ** 2).sum())
    ratio = 10 * math.log10(max(signal, SILENCE * power) / max(noise, SILENCE * power))
    return min(CLEAREST, max(-CLEAREST, ratio))


def _cut(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a prediction that has a target: denoisers that learn a variance predict it after the mean."""
    for axis in range(wanted.ndim):
        rest = wanted.shape[:axis] + wanted.shape[axis + 1 :]
        alike = found.ndim == wanted.ndim and found.shape[:axis] + found.shape[axis + 1 :] == rest
        if alike and found.shape[axis] >= wanted.shape[axis]:
            return found.take(range(wanted.shape[axis]), axis)
    raise NexusError(f"The prediction has the shape {list(found.shape)} and its target {list(wanted.shape)}.")
