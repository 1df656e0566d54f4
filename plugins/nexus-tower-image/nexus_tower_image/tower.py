"""The image tower. Shapes: B images, S their side in pixels, N patches, d the encoder's width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from nexus_specs import Batch, Profile, Sample
from nexus_torch.perception import PerceptionTower, number, pixels, teacher_settings
from torch import Tensor, nn

from .options import ImageOptions


class Patches(nn.Module):
    """Pixels uint8 [B, 3, S, S] -> patches [B, N, d]: one stride-`patch` convolution."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, pixels: Tensor) -> Tensor:
        """Each patch as a vector."""
        found: Tensor = self.convolution(pixels.to(self.convolution.weight.dtype) / 127.5 - 1)
        return found.flatten(2).mT


class ImageTower(PerceptionTower):
    """Kind "tower", name "image"."""

    def __init__(self, **options: Any) -> None:
        self.options = ImageOptions(**options)

    def sized(self, profiles: Sequence[Profile]) -> ImageOptions:
        """Side and patch as the teacher has them, else 32 pixels in 8 x 8 patches."""
        settings = teacher_settings(profiles)
        size = self.options.size or number(settings, "image_size", 32)
        patch = self.options.patch or number(settings, "patch_size", max(1, size // 8))
        return replace(self.options, size=size, patch=patch)

    def front(self, options: ImageOptions, width: int) -> tuple[nn.Module, int]:
        """Patches, and how many."""
        return Patches(options.patch, width), (options.size // options.patch) ** 2

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """The samples' "image" (uint8 [H, W] or [H, W, C]) as pixels [B, 3, S, S]."""
        images = [torch.tensor(sample.fields["image"])[None] for sample in samples]
        return {"pixels": torch.cat([pixels(image, self.options.size) for image in images])}
