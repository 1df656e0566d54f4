"""One sample's arguments of a forward, by the name of each, sized as the configuration says.

Every argument has a batch dimension of one. Shapes: T tokens, N numbers of a wave, M mel bands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Arguments = dict[str, np.ndarray]
TOKENS, TARGET, FIRST, LAST = 13, 7, 10, 200
"""Tokens of a text and of what is taught; ordinary ones are between FIRST and LAST."""
WAVE = 3840
"""Numbers of a sound: whole frames for strides of 128, 160 and 320."""


class Maker:
    """One sample's arguments, by name."""

    def __init__(
        self, config: Any, names: list[str], generator: np.random.Generator, tokens: Mapping[str, int]
    ) -> None:
        self.config, self.names, self.generator, self.tokens = config, names, generator, tokens
        self.vision = part_of(config, "vision_config", "image_config", "vision_encoder_config", "vision_tower_config",
                              "backbone_config")  # fmt: skip
        self.audio = part_of(config, "audio_config", "encoder_config", "audio_encoder_config", "speech_config")

    def make(self, name: str) -> Arguments:
        """An argument and those that go with it."""
        maker = getattr(self, f"_{name}", None)
        return maker() if maker else {name: self.floats(1, 8, number(self.config, "hidden_size", default=64))}

    def _input_ids(self) -> Arguments:
        ids = self.ids(TOKENS)
        for kind, count in self.tokens.items():
            place = placeholder(self.config, kind)
            if place is not None:
                ids = np.concatenate([ids[:, :2], np.full((1, count), place, dtype=np.int64), ids[:, 2:]], 1)
        found = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if "bbox" in self.names:
            found["bbox"] = np.tile(np.array([1, 2, 30, 40]), (1, ids.shape[1], 1))
        for kind, name in (("Image", "token_type_ids"), ("Image", "mm_token_type_ids")):
            if kind in self.tokens and name in self.names:
                found[name] = (ids == placeholder(self.config, kind)).astype(np.int64)
        return found

    def _decoder_input_ids(self) -> Arguments:
        ids = self.ids(TARGET)
        codebooks = getattr(getattr(self.config, "decoder_config", self.config), "num_codebooks", 0)
        return {"decoder_input_ids": ids if not codebooks else np.repeat(ids, codebooks, 0)}

    def _pixel_values(self) -> Arguments:
        vision = self.vision
        size, channels = picture_size(vision), number(vision, "num_channels", "in_channels", "in_chans", default=3)
        patch = number(vision, "patch_size", default=16)
        if "image_grid_thw" in self.names or "grid_thw" in self.names:
            return {"pixel_values": (found := self.patches(vision, channels, patch))[0], "image_grid_thw": found[1],
                    "grid_thw": found[1]}  # fmt: skip
        if "pixel_position_ids" in self.names or "image_position_ids" in self.names:
            return self._positioned(channels, patch)
        if "spatial_shapes" in self.names:
            shapes = {"spatial_shapes": np.array([[4, 4]]), "pixel_attention_mask": np.ones((1, 16), dtype=np.int64)}
            return {"pixel_values": self.floats(1, 16, channels * patch * patch), **shapes}
        if frames := number(vision, "num_frames", "frames_per_clip", default=0):
            return {"pixel_values": self.floats(1, frames, channels, *size)}
        found = {"pixel_values": self.floats(1, channels, *size)}
        if "aspect_ratio_ids" in self.names:
            tiles = number(vision, "max_num_tiles", default=4)
            found = {"pixel_values": self.floats(1, 1, tiles, channels, *size)}
            found["aspect_ratio_ids"] = np.ones((1, 1), dtype=np.int64)
            found["aspect_ratio_mask"] = np.array([[[1] + [0] * (tiles - 1)]])
        if "image_sizes" in self.names:
            found["image_sizes"] = np.array([size])
        return found

    def _hidden_states(self) -> Arguments:
        if "grid_thw" not in self.names:
            return {"hidden_states": self.floats(1, 8, number(self.config, "hidden_size", default=64))}
        vision = self.vision
        channels = number(vision, "num_channels", "in_channels", "in_chans", default=3)
        patches, grid = self.patches(vision, channels, number(vision, "patch_size", default=16))
        return {"hidden_states": patches, "grid_thw": grid}

    def _grid_thw(self) -> Arguments:
        """Comes with the patches that it is the grid of."""
        return {}

    def patches(self, vision: Any, channels: int, patch: int) -> tuple[np.ndarray, np.ndarray]:
        """A picture as a list of its patches, and its grid: [patches, numbers of one], [1, 3]."""
        merge = number(vision, "spatial_merge_size", "merge_size", default=2)
        side, frames = 2 * merge, number(vision, "temporal_patch_size", "patch_temporal", default=1)
        width = channels * frames * patch * patch
        return self.floats(side * side, width), np.array([[1, side, side]])

    def _positioned(self, channels: int, patch: int) -> Arguments:
        side = 6
        grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(1, side * side, 2)
        found = {"pixel_values": self.floats(1, side * side, channels * patch * patch)}
        return found | {"pixel_position_ids": grid, "image_position_ids": grid}

    def _pixel_values_videos(self) -> Arguments:
        vision = self.vision
        frames = number(vision, "num_frames", "frames_per_clip", default=4)
        return {"pixel_values_videos": self.floats(1, frames, 3, *picture_size(vision))}

    def _flattened_patches(self) -> Arguments:
        width = number(self.vision, "patch_embed_hidden_size", default=768) + 2
        patches = self.floats(1, 16, width)
        patches[..., 0], patches[..., 1] = np.arange(16) // 4 + 1, np.arange(16) % 4 + 1
        return {"flattened_patches": patches, "attention_mask": np.ones((1, 16), dtype=np.int64)}

    def _input_features(self) -> Arguments:
        audio = self.audio
        bands = ("num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "n_mels", "input_dim",
                 "mel_dim", "feature_size")  # fmt: skip
        mels = number(audio, *bands, default=80) * number(audio, "num_stacked_frames", default=1)
        if frames := number(audio, "max_source_positions", default=0):
            found = {"input_features": self.floats(1, mels, 2 * frames)}
            mask = np.ones((1, 2 * frames), dtype=np.int64)
        else:
            found = {"input_features": self.floats(1, 96, mels)}
            mask = np.ones((1, 96), dtype=np.int64)
        for name in ("input_features_mask", "feature_attention_mask"):
            if name in self.names:
                found[name] = mask
        return found

    def _input_values(self) -> Arguments:
        if bands := number(self.config, "num_mel_bins", default=0):
            length = number(self.config, "max_length", default=64)
            return {"input_values": self.floats(1, length, bands)}
        wave = self.floats(1, WAVE)
        codec = hasattr(self.config, "downsampling_ratios") or hasattr(self.config, "semantic_model_config")
        if codec or ("padding_mask" in self.names and "attention_mask" not in self.names):
            return {"input_values": wave[:, None]}
        return {"input_values": wave}

    def _audio_mel(self) -> Arguments:
        found = self.floats(1, 96, number(self.config, "input_feat_size", default=80))
        return {"audio_mel": found, "audio_mel_mask": np.zeros((1, 96), dtype=bool)}

    def _qformer_input_ids(self) -> Arguments:
        ids = self.ids(TOKENS)
        return {"qformer_input_ids": ids, "qformer_attention_mask": np.ones_like(ids)}

    def ids(self, length: int) -> np.ndarray:
        """Ordinary tokens: [1, length]."""
        words = number(self.config, "vocab_size", default=0) or min(
            (number(each, "vocab_size", default=LAST) for each in inner(self.config)), default=LAST
        )
        return self.generator.integers(min(FIRST, words // 2), min(LAST, words), size=(1, length))

    def floats(self, *shape: int) -> np.ndarray:
        """Normal numbers."""
        return self.generator.standard_normal(shape).astype(np.float32)


def placeholder(config: Any, kind: str) -> int | None:
    """The token that stands for a picture or sound in a text."""
    names = {"Image": ("image_token_id", "image_token_index", "im_token_id", "image_patch_id"),
             "Video": ("video_token_id", "video_token_index"), "Audio": ("audio_token_id", "audio_token_index"),
             "Multimodal": ("image_token_id", "audio_token_id")}  # fmt: skip
    return next((found for name in names[kind] if isinstance(found := getattr(config, name, None), int)), None)


def part_of(config: Any, *names: str) -> Any:
    """The first of these inner configurations, else the whole."""
    return next((found for name in names if (found := getattr(config, name, None)) is not None), config)


def inner(config: Any) -> list[Any]:
    """The configurations in a configuration."""
    return [each for name in config.sub_configs if (each := getattr(config, name, None)) is not None]


def number(config: Any, *names: str, default: int) -> int:
    """The first of these numbers that a configuration has, the last of a list."""
    for name in names:
        found = getattr(config, name, None)
        if isinstance(found, (list, tuple)) and found:
            found = found[-1]
        if isinstance(found, int) and found:
            return found
    return default


def picture_size(vision: Any) -> tuple[int, int]:
    """Height and width of a picture, as the tower says or what it is built on."""
    for config in (vision, getattr(vision, "backbone_config", None)):
        for name in ("image_size", "img_size", "input_size", "crop_size"):
            found = getattr(config, name, None)
            if isinstance(found, int) and found > 1:
                return found, found
            if isinstance(found, (list, tuple)) and len(found) == 2:
                return int(found[0]), int(found[1])
    return 64, 64
