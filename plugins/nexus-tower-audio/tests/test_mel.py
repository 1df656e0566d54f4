"""The front end of our own, and the tower's use of it."""

from __future__ import annotations

import math

import pytest
import torch
from nexus_specs import Profile, Sample
from nexus_specs.testing import blueprint
from nexus_tower_audio.mel import filters, log_mel, resampled, samples_of
from nexus_tower_audio.tower import AudioTower

RATE = 16_000


def tone(hertz: float, seconds: float = 0.5, rate: int = RATE) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 4000.0])
def test_a_tone_lies_in_its_band(hertz: float) -> None:
    found = log_mel(tone(hertz)[None], RATE, 64)[0].mean(0)
    bins = torch.arange(257) * RATE / 512
    weights = filters(RATE, 512, 64)[:, found.argmax()]
    middle = (bins * weights).sum() / weights.sum()
    assert abs(middle - hertz) < 0.08 * hertz + 30


def test_a_spectrogram_is_normal() -> None:
    found = log_mel(torch.randn(3, samples_of(24, RATE)), RATE, 64)
    assert found.shape == (3, 24, 64)
    assert found.mean((1, 2)).abs().max() < 1e-4
    assert (found.std((1, 2)) - 1).abs().max() < 1e-2
    assert log_mel(torch.zeros(1, samples_of(3, RATE)), RATE, 8).abs().max() < 1e-3


@pytest.mark.parametrize("rate", [8_000, 16_000, 32_000])
def test_another_rate_is_the_same_tone(rate: int) -> None:
    found = resampled(tone(440.0, rate=rate), rate, RATE)
    assert len(found) == 8_000
    assert (found - tone(440.0)).abs().mean() < 0.2


def test_long_sounds_are_cut_and_short_ones_filled() -> None:
    teacher = blueprint(takes=("audio",), gives=("label",), labels=("a", "b"), parameters=100_000)
    tower = AudioTower(frames=16, rate=RATE, mels=32)
    module = tower.build(blueprint(), [Profile(teacher="x", capability="x", blueprint=teacher, layers=())])
    sounds = [tone(300.0, 0.01), tone(300.0, 2.0), tone(300.0, 0.2, 8000)]
    samples = [Sample(key=str(at), fields={"audio": each.numpy(), "rate": rate})
               for at, (each, rate) in enumerate(zip(sounds, (RATE, RATE, 8000), strict=True))]  # fmt: skip
    batch = tower.collate(samples)
    assert batch["spectrograms"].shape == (3, 16, 32)
    assert module.encode(**batch).shape == (3, 4, 32)


def test_an_empty_sound_stays_empty() -> None:
    assert len(resampled(torch.zeros(0), 8000, 16_000)) == 0
