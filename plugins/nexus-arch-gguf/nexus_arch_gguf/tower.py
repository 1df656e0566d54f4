"""A vision tower of an mmproj file as a checkpoint: images in, states out."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    PixtralImageProcessorPil,
    PreTrainedConfig,
    PreTrainedModel,
    SiglipImageProcessorPil,
)

from .checkpoint import GgufCheckpoint
from .layouts.towers import PIXTRAL, projector, side, tower_configuration
from .preprocessing import GgufPreprocessor
from .source import Source


def processor_class(source: Source) -> Any:
    """Pixtral's way with pictures, CLIP's where the tower has a token for the class, else SigLIP's."""
    if projector(source) in PIXTRAL:
        return PixtralImageProcessorPil
    return CLIPImageProcessorPil if "v.class_embd" in source.places else SiglipImageProcessorPil


class TowerPreprocessor(GgufPreprocessor):
    """Images as the metadata says: size, mean and deviation."""

    @cached_property
    def image_processor(self) -> Any:
        """The image processor, in its version for Pillow."""
        size = side(self.source, "image_size")
        whole = {"height": size, "width": size}
        mean, deviation = self._three("mean"), self._three("std")
        kind = processor_class(self.source)
        if kind is PixtralImageProcessorPil:                # the sides of a picture are whole patches, merged ones
            edge = side(self.source, "patch_size") * max(1, self.source.whole("clip.vision.spatial_merge_size", 1))
            patch = {"height": edge, "width": edge}
            return kind(size={"longest_edge": size}, patch_size=patch, image_mean=mean, image_std=deviation)
        if kind is CLIPImageProcessorPil:
            edge = {"shortest_edge": size}
            return kind(size=edge, crop_size=whole, image_mean=mean, image_std=deviation)
        return kind(size=whole, image_mean=mean, image_std=deviation)

    def _three(self, name: str) -> list[float]:
        """A number for each colour."""
        found = self.source.get(f"clip.vision.image_{name}", [0.5] * 3)
        if not isinstance(found, list) or len(found) != 3 or any(not isinstance(each, float) for each in found):
            raise NexusError(f"'{self.source.path}': the metadata 'clip.vision.image_{name}' is no three numbers.")
        return found


class TowerCheckpoint(GgufCheckpoint):
    """Kind "checkpoint" of a vision tower."""

    takes = ("image",)
    preprocessing = TowerPreprocessor

    def _processors(self) -> dict[str, str]:
        """The image processor that is made of the metadata."""
        return {"image_processor": processor_class(self.source).__name__}

    def configured(self) -> PreTrainedConfig:
        """Of the tower alone."""
        return tower_configuration(self.source, self.layout)

    def bare(self) -> PreTrainedModel:
        """Files for LLaVA leave out the last layer, and with it the norm behind it."""
        module = super().bare()
        if hasattr(module, "post_layernorm") and "v.post_ln.weight" not in self.source.places:
            setattr(module, "post_layernorm", nn.Identity())  # noqa: B010 - of a class that declares a norm there
        return module

    def save_preprocessor(self, folder: Path) -> None:
        """Writes the image processor and the configuration that the metadata describes."""
        folder.mkdir(parents=True, exist_ok=True)
        self.preprocessor.image_processor.save_pretrained(folder)
        self.config.save_pretrained(folder)
