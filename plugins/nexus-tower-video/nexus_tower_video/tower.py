"""The video tower. Shapes: B videos, F frames, S their side in pixels, N tubelets, d the encoder's width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from nexus_specs import Batch, Profile, Sample
from nexus_torch.perception import PerceptionTower, number, pixels, teacher_settings
from torch import Tensor, nn

from .options import VideoOptions


class Tubelets(nn.Module):
    """Frames uint8 [B, F, 3, S, S] -> tubelets [B, N, d]: one convolution over time and space, without overlap
    (ViViT, https://arxiv.org/abs/2103.15691)."""

    def __init__(self, tubelet: int, patch: int, width: int) -> None:
        super().__init__()
        shape = (tubelet, patch, patch)
        self.convolution = nn.Conv3d(3, width, shape, stride=shape)

    def forward(self, frames: Tensor) -> Tensor:
        """Each tubelet as a vector."""
        scaled = frames.transpose(1, 2).to(self.convolution.weight.dtype) / 127.5 - 1
        found: Tensor = self.convolution(scaled)
        return found.flatten(2).mT


class VideoTower(PerceptionTower):
    """Kind "tower", name "video"."""

    def __init__(self, **options: Any) -> None:
        self.options = VideoOptions(**options)

    def sized(self, profiles: Sequence[Profile]) -> VideoOptions:
        """Frames, side and tubelets as the teacher has them, else 8 frames of 32 pixels in tubelets of 2 x 4 x 4."""
        settings, given = teacher_settings(profiles), self.options
        size = given.size or number(settings, "image_size", 32)
        return replace(
            given,
            size=size,
            patch=given.patch or number(settings, "patch_size", max(1, size // 8)),
            frames=given.frames or number(settings, "num_frames", 8),
            tubelet=given.tubelet or number(settings, "tubelet_size", 2),
        )

    def front(self, options: VideoOptions, width: int) -> tuple[nn.Module, int]:
        """Tubelets, and how many."""
        count = (options.frames // options.tubelet) * (options.size // options.patch) ** 2
        return Tubelets(options.tubelet, options.patch, width), count

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """The samples' "video" (uint8 [T, H, W] or [T, H, W, C]) as frames [B, F, 3, S, S]."""
        return {"frames": torch.stack([self._frames(sample) for sample in samples])}

    def _frames(self, sample: Sample) -> Tensor:
        video = torch.tensor(sample.fields["video"])
        chosen = torch.linspace(0, len(video) - 1, self.options.frames).round().long()
        return pixels(video[chosen], self.options.size)
