"""The audio tower. Shapes: B sounds, T frames, M bands, N patches, d the encoder's width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from nexus_specs import Batch, Profile, Sample
from nexus_torch.perception import PerceptionTower, number, teacher_settings
from torch import Tensor, nn

from .mel import log_mel, resampled, samples_of
from .options import AudioOptions


class SpectrogramPatches(nn.Module):
    """Log-mel spectrograms [B, T, M] -> patches [B, N, d] (AST, https://arxiv.org/abs/2104.01778)."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, width, patch, stride=patch)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Each patch as a vector."""
        found: Tensor = self.convolution(spectrograms.to(self.convolution.weight.dtype)[:, None])
        return found.flatten(2).mT


class AudioTower(PerceptionTower):
    """Kind "tower", name "audio"."""

    def __init__(self, **options: Any) -> None:
        self.options = AudioOptions(**options)

    def sized(self, profiles: Sequence[Profile]) -> AudioOptions:
        """Rate, frames and bands as the teacher has them, else one second at 16 kHz in 64 bands."""
        settings, given = teacher_settings(profiles), self.options
        return replace(
            given,
            rate=given.rate or number(settings, "sampling_rate", 16_000),
            frames=given.frames or number(settings, "max_length", 96),
            mels=given.mels or number(settings, "num_mel_bins", 64),
        )

    def front(self, options: AudioOptions, width: int) -> tuple[nn.Module, int]:
        """Patches, and how many."""
        patch = min(options.patch, options.frames, options.mels)
        return SpectrogramPatches(patch, width), (options.frames // patch) * (options.mels // patch)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """The samples' "audio" (float32 [N], "rate" samples a second) as spectrograms [B, T, M]."""
        length = samples_of(self.options.frames, self.options.rate)
        waves = torch.zeros(len(samples), length)
        for row, sample in zip(waves, samples, strict=True):
            wave = torch.tensor(sample.fields["audio"], dtype=torch.float32)
            wave = resampled(wave, int(sample.fields.get("rate", self.options.rate)), self.options.rate)[:length]
            row[: len(wave)] = wave
        return {"spectrograms": log_mel(waves, self.options.rate, self.options.mels)}
