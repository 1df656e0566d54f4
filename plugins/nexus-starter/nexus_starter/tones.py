"""Telephone keypad tones (DTMF) in noise, made from a part and an index alone.

Every clip is its own random stream, so a part has as many clips as one asks for, and nothing needs to be shipped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
SAMPLES = 4_080  # 255 ms: 24 frames of 25 ms, 10 ms apart
KEYS = "123A456B789C*0#D"  # the keypad by rows
ROWS = (697.0, 770.0, 852.0, 941.0)
COLUMNS = (1209.0, 1336.0, 1477.0, 1633.0)
SNRS = (-18.0, -12.0, -6.0, 0.0, 10.0)  # decibels over the clip, each as often
PARTS = {"teacher": 1, "train": 2, "development": 3, "held_out": 4}

Audio = NDArray[np.float32]


def clip(part: str, index: int) -> tuple[Audio, int]:
    """The waveform and the index of its key in `KEYS`. Keys take turns, so every stretch of a part is balanced."""
    draw = np.random.Generator(np.random.PCG64([PARTS[part], index]))
    label = index % len(KEYS)
    sound = tone(draw, label)
    snr = SNRS[draw.integers(len(SNRS))]
    noise = draw.standard_normal(SAMPLES)
    noise *= np.sqrt(np.mean(sound**2) / np.mean(noise**2)) * 10 ** (-snr / 20)
    mixed = sound + noise
    return sixteen_bits(mixed * (draw.uniform(0.1, 0.5) / np.abs(mixed).max())), label


def tone(draw: np.random.Generator, label: int) -> NDArray[np.float64]:
    """A row's and a column's frequency, each a little off, one the louder, pressed late and released early."""
    time = np.arange(SAMPLES) / RATE
    sound = np.zeros(SAMPLES)
    for pitch in (ROWS[label // 4], COLUMNS[label % 4]):
        loudness = 10 ** (draw.uniform(-4, 4) / 20)
        sound += loudness * np.sin(2 * np.pi * (pitch * draw.uniform(0.985, 1.015) * time + draw.random()))
    start, length = draw.uniform(0, 0.1), draw.uniform(0.06, 0.15)
    return sound * ((time >= start) & (time < start + length))


def sixteen_bits(wave: NDArray[np.float64]) -> Audio:
    """Rounded as a sound file would be: a last bit that differs between processors is no different clip."""
    return (np.round(wave * 32767) / 32768).astype(np.float32)
