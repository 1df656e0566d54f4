"""A tower of an mmproj file as a checkpoint: pictures or sounds in, states out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from nexus_specs import NexusError, Sample
from nexus_torch.padding import Collated
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    Gemma4ImageProcessorPil,
    Glm4vImageProcessorPil,
    PixtralImageProcessorPil,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2VLImageProcessorPil,
    Siglip2ImageProcessorPil,
    SiglipImageProcessorPil,
    WhisperFeatureExtractor,
)

from .checkpoint import GgufCheckpoint
from .layouts.grids import FRAMES
from .layouts.sounds import HEARING, sound_configuration
from .layouts.towers import LFM2, PIXTRAL, projector, side, tower_configuration
from .preprocessing import GgufPreprocessor
from .source import Source

QWEN = ("qwen2.5o", "qwen2.5vl_merger", "qwen2vl_merger", "qwen3vl_merger")
GRIDS: Mapping[str, Any] = {"glm4v": Glm4vImageProcessorPil, **dict.fromkeys(QWEN, Qwen2VLImageProcessorPil)}
"""Projectors before which a grid of patches stands -> what makes one of a picture."""
ANY_SHAPE: Mapping[str, Any] = {"gemma4v": Gemma4ImageProcessorPil, **dict.fromkeys(LFM2, Siglip2ImageProcessorPil)}
"""Projectors of towers that see pictures of any shape -> the same."""
RATE = 50
"""Positions of a second in towers of Whisper's kind."""


def processor_class(source: Source) -> Any:
    """The projector's own way with pictures; CLIP's where the tower has a token for the class and no other way, else
    SigLIP's."""
    kind = projector(source)
    if kind in PIXTRAL:
        return PixtralImageProcessorPil
    if kind in ANY_SHAPE:
        return ANY_SHAPE[kind]
    squares = SiglipImageProcessorPil if kind in ("internvl", "llama4") else CLIPImageProcessorPil
    return GRIDS.get(kind) or (squares if "v.class_embd" in source.places else SiglipImageProcessorPil)


class TowerPreprocessor(GgufPreprocessor):
    """Images as the metadata says: size, mean and deviation."""

    @cached_property
    def image_processor(self) -> Any:
        """The image processor, in its version for Pillow."""
        size = side(self.source, "image_size")
        whole = {"height": size, "width": size}
        colours = {"image_mean": self._three("mean"), "image_std": self._three("std")}
        kind, patch = processor_class(self.source), side(self.source, "patch_size")
        if kind is PixtralImageProcessorPil:                # the sides of a picture are whole patches, merged ones
            edge = patch * max(1, self.source.whole("clip.vision.spatial_merge_size", 1))
            return kind(size={"longest_edge": size}, patch_size={"height": edge, "width": edge}, **colours)
        if kind in GRIDS.values():
            sizes = {"patch_size": patch, "temporal_patch_size": FRAMES, "merge_size": self._merged}
            return kind(**sizes, **self._limits, **colours)
        if kind is Gemma4ImageProcessorPil:                 # its tower turns colours into numbers itself
            return kind(patch_size=patch)
        if kind is Siglip2ImageProcessorPil:
            return kind(patch_size=patch, **colours)
        if kind is CLIPImageProcessorPil:
            return kind(size={"shortest_edge": size}, crop_size=whole, **colours)
        return kind(size=whole, **colours)

    def images(self, samples: Sequence[Sample]) -> Collated:
        """As for any checkpoint; towers that see grids have names of their own for them."""
        made = super().images(samples)
        if "pixel_position_ids" in self.arguments:
            return Collated({"pixel_values": made["pixel_values"], "pixel_position_ids": made["image_position_ids"]})
        if "grid_thw" not in self.arguments:
            return made
        return Collated({"hidden_states": made["pixel_values"], "grid_thw": made["image_grid_thw"]})

    @property
    def _merged(self) -> int:
        """How many patches become one, along a side."""
        merging, first = (self.source.tensors.get(name) for name in ("mm.patch_merger.weight", "mm.0.weight"))
        if merging is not None:
            return merging.shape[-1]
        width = self.source.tensors["v.patch_embd.weight"].shape[0]
        return int((first.shape[1] // width) ** 0.5) if first is not None else FRAMES

    @property
    def _limits(self) -> dict[str, Any]:
        """The least and the most pixels, where the file says both."""
        least, most = (self.source.whole(f"clip.vision.image_{each}_pixels", 0) for each in ("min", "max"))
        return {"size": {"shortest_edge": least, "longest_edge": most}} if 0 < least <= most else {}

    def _three(self, name: str) -> list[float]:
        """A number for each colour."""
        found = self.source.get(f"clip.vision.image_{name}", [0.5] * 3)
        if not isinstance(found, list) or len(found) != 3 or any(not isinstance(each, float) for each in found):
            raise NexusError(f"'{self.source.path}': the metadata 'clip.vision.image_{name}' is no three numbers.")
        return found


class SoundPreprocessor(GgufPreprocessor):
    """Sounds as Whisper hears them: spectra of as many bands as the first convolution takes, of half a minute."""

    @cached_property
    def feature_extractor(self) -> Any:
        """The feature extractor."""
        positions, bands = (self.source.tensors[each].shape for each in ("a.position_embd.weight", "a.conv1d.1.weight"))
        return WhisperFeatureExtractor(feature_size=bands[1], chunk_length=max(1, positions[0] // RATE))

    def sounds(self, samples: Sequence[Sample]) -> Collated:
        """As for any checkpoint; where the tower asks for it, with what is a sound of it."""
        made, masked = super().sounds(samples), "input_features_mask"
        if masked in self.arguments:
            step, waves = self.feature_extractor.hop_length, [len(self._wave(sample)) for sample in samples]
            places = torch.arange(made["input_features"].shape[-1])
            made[masked] = torch.stack([(places < -(-length // step)).long() for length in waves])
        return made


class TowerCheckpoint(GgufCheckpoint):
    """Kind "checkpoint" of a vision tower."""

    takes: tuple[str, ...] = ("image",)
    preprocessing: type[GgufPreprocessor] = TowerPreprocessor

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

    @property
    def processor(self) -> Any:
        """What makes tensors of samples."""
        return self.preprocessor.image_processor

    def save_preprocessor(self, folder: Path) -> None:
        """Writes the processor and the configuration that the metadata describes."""
        folder.mkdir(parents=True, exist_ok=True)
        self.processor.save_pretrained(folder)
        self.config.save_pretrained(folder)


class HearingCheckpoint(TowerCheckpoint):
    """Kind "checkpoint" of a tower that hears."""

    takes = ("audio",)
    preprocessing = SoundPreprocessor

    def _processors(self) -> dict[str, str]:
        """The feature extractor that is made of the metadata."""
        return {"feature_extractor": WhisperFeatureExtractor.__name__}

    def configured(self) -> PreTrainedConfig:
        """Of the tower alone."""
        return sound_configuration(self.source, self.layout)

    @property
    def processor(self) -> Any:
        """What makes tensors of samples."""
        return self.preprocessor.feature_extractor


def tower_checkpoint(source: Source) -> TowerCheckpoint:
    """The checkpoint of an mmproj file: of what sees, or of what hears."""
    return (HearingCheckpoint if projector(source) in HEARING else TowerCheckpoint)(source)
