"""Log-mel spectrograms of our own, from `torch.stft`. Shapes: B sounds, N samples, T frames, M bands."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

WINDOW, STEP = 0.025, 0.010
"""Seconds of a frame, and from one to the next."""

LOWEST = 20.0
"""Hertz"""


def samples_of(frames: int, rate: int) -> int:
    """How many samples so many frames need."""
    return round(WINDOW * rate) + (frames - 1) * round(STEP * rate)


def log_mel(waves: Tensor, rate: int, bands: int) -> Tensor:
    """Sounds [B, N] -> [B, T, M], each spectrogram with mean 0 and deviation 1."""
    window, step = round(WINDOW * rate), round(STEP * rate)
    size = 1 << (window - 1).bit_length()
    framed = functional.pad(waves.float(), (0, size - window))
    weights = functional.pad(torch.hann_window(window), (0, size - window))
    power = torch.stft(framed, size, step, size, weights, center=False, return_complex=True).abs().square()
    mel = (power.mT @ filters(rate, size, bands)).clamp_min(1e-10).log()
    mean, deviation = mel.mean((1, 2), keepdim=True), mel.std((1, 2), keepdim=True)
    return (mel - mean) / (deviation + 1e-5)


@cache
def filters(rate: int, size: int, bands: int) -> Tensor:
    """Triangles, evenly wide on the mel scale (HTK: 2595 log10(1 + f / 700)): [size / 2 + 1, bands]."""
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (LOWEST, rate / 2))
    edges = 700 * (10 ** (torch.linspace(low, high, bands + 2) / 2595) - 1)
    bins = torch.arange(size // 2 + 1) * rate / size
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp_min(0)


def resampled(wave: Tensor, rate: int, wanted: int) -> Tensor:
    """A sound [N] at another rate: averaged over neighbours where it gets slower, then interpolated."""
    if rate == wanted or not len(wave):
        return wave
    length = max(1, round(len(wave) * wanted / rate))
    if wanted < rate:
        return functional.adaptive_avg_pool1d(wave[None, None], length)[0, 0]
    return functional.interpolate(wave[None, None], size=length, mode="linear", align_corners=False)[0, 0]
