"""Inputs of any model, found from its forward's signature and its configuration, and mended by what its errors say.

One sample is what a processor would give for it alone: every argument with a batch dimension of one.
Shapes: T tokens, N numbers of a wave, M mel bands.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

Arguments = dict[str, np.ndarray]
TOKENS, TARGET, FIRST, LAST = 13, 7, 10, 200
"""Tokens of a text and of what is taught; ordinary ones are between FIRST and LAST."""
COUNTS = re.compile(r"(Image|Video|Audio|Multimodal) features and .*tokens:? (\d+),? *features:? (\d+)")
FLIPPED = "bands before frames"
"""Stands among the arguments where a spectrogram is [1, M, frames]."""
MEDIA = ("pixel_values", "input_features", "input_values", "pixel_values_videos", "flattened_patches", "audio_mel")


class Inputs:
    """Makes the arguments of samples for one model."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.config = module, module.config
        parameters = inspect.signature(module.forward).parameters
        self.names = list(parameters)
        self.required = [
            name for name, each in parameters.items()
            if each.default is inspect.Parameter.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
        ]  # fmt: skip

    def candidates(self) -> Iterator[list[str]]:
        """Which arguments to try, the richest first."""
        main = self.module.main_input_name
        main = main if main in self.names else (self.required or self.names)[0]
        text = ["input_ids"] if "input_ids" in self.names else []
        media = [name for name in MEDIA if name in self.names]
        decoder = ["decoder_input_ids"] if "decoder_input_ids" in self.names else []
        base = list(dict.fromkeys([main, *self.required, *decoder]))
        for some in ([*text, *media[:1]], [*text, *media[1:2]], media[:1], text, []):
            yield list(dict.fromkeys([*some, *base]))
        yield list(dict.fromkeys([main, *self.required]))
        if "input_features" in self.names:
            yield [*text, "input_features", FLIPPED]
            yield ["input_features", FLIPPED]

    def make(self, names: list[str], seed: int, tokens: Mapping[str, int]) -> Arguments:
        """The arguments of one sample; `tokens` says how many placeholders of a modality its text holds."""
        generator = np.random.default_rng(seed)
        found: Arguments = {}
        for name in (each for each in names if each != FLIPPED):
            found |= Maker(self.config, self.names, generator, tokens).make(name)
        if FLIPPED in names:
            found["input_features"] = np.swapaxes(found["input_features"], -1, -2).copy()
        return {name: value for name, value in found.items() if name in self.names}


class Maker:
    """One sample's arguments, by name."""

    def __init__(
        self, config: Any, names: list[str], generator: np.random.Generator, tokens: Mapping[str, int]
    ) -> None:
        self.config, self.names, self.generator, self.tokens = config, names, generator, tokens
        self.vision = _part(config, "vision_config", "image_config", "vision_encoder_config", "vision_tower_config")
        self.audio = _part(config, "audio_config", "encoder_config", "audio_encoder_config", "speech_config")

    def make(self, name: str) -> Arguments:
        """An argument and those that go with it."""
        maker = getattr(self, f"_{name}", None)
        return maker() if maker else {name: self._floats(1, 8, _number(self.config, "hidden_size", default=64))}

    def _input_ids(self) -> Arguments:
        ids = self._ids(TOKENS)
        for kind, count in self.tokens.items():
            place = _placeholder(self.config, kind)
            if place is not None:
                ids = np.concatenate([ids[:, :2], np.full((1, count), place, dtype=np.int64), ids[:, 2:]], 1)
        found = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if "bbox" in self.names:
            found["bbox"] = np.tile(np.array([1, 2, 30, 40]), (1, ids.shape[1], 1))
        for kind, name in (("Image", "token_type_ids"), ("Image", "mm_token_type_ids")):
            if kind in self.tokens and name in self.names:
                found[name] = (ids == _placeholder(self.config, kind)).astype(np.int64)
        return found

    def _decoder_input_ids(self) -> Arguments:
        ids = self._ids(TARGET)
        codebooks = getattr(getattr(self.config, "decoder_config", self.config), "num_codebooks", 0)
        return {"decoder_input_ids": ids if not codebooks else np.repeat(ids, codebooks, 0)}

    def _pixel_values(self) -> Arguments:
        vision = self.vision
        size, channels = _size(vision), _number(vision, "num_channels", "in_channels", "in_chans", default=3)
        patch = _number(vision, "patch_size", default=16)
        if "image_grid_thw" in self.names or "grid_thw" in self.names:
            return {"pixel_values": (found := self._patches(vision, channels, patch))[0], "image_grid_thw": found[1],
                    "grid_thw": found[1]}  # fmt: skip
        if "pixel_position_ids" in self.names or "image_position_ids" in self.names:
            return self._positioned(channels, patch)
        if "spatial_shapes" in self.names:
            shapes = {"spatial_shapes": np.array([[4, 4]]), "pixel_attention_mask": np.ones((1, 16), dtype=np.int64)}
            return {"pixel_values": self._floats(1, 16, channels * patch * patch), **shapes}
        if frames := _number(vision, "num_frames", "frames_per_clip", default=0):
            return {"pixel_values": self._floats(1, frames, channels, *size)}
        found = {"pixel_values": self._floats(1, channels, *size)}
        if "aspect_ratio_ids" in self.names:
            tiles = _number(vision, "max_num_tiles", default=4)
            found = {"pixel_values": self._floats(1, 1, tiles, channels, *size)}
            found["aspect_ratio_ids"] = np.ones((1, 1), dtype=np.int64)
            found["aspect_ratio_mask"] = np.array([[[1] + [0] * (tiles - 1)]])
        if "image_sizes" in self.names:
            found["image_sizes"] = np.array([size])
        return found

    def _hidden_states(self) -> Arguments:
        if "grid_thw" not in self.names:
            return {"hidden_states": self._floats(1, 8, _number(self.config, "hidden_size", default=64))}
        vision = self.vision
        channels = _number(vision, "num_channels", "in_channels", "in_chans", default=3)
        patches, grid = self._patches(vision, channels, _number(vision, "patch_size", default=16))
        return {"hidden_states": patches, "grid_thw": grid}

    def _grid_thw(self) -> Arguments:
        """Comes with the patches that it is the grid of."""
        return {}

    def _patches(self, vision: Any, channels: int, patch: int) -> tuple[np.ndarray, np.ndarray]:
        merge = _number(vision, "spatial_merge_size", "merge_size", default=2)
        side, frames = 2 * merge, _number(vision, "temporal_patch_size", default=1)
        width = channels * frames * patch * patch
        return self._floats(side * side, width), np.array([[1, side, side]])

    def _positioned(self, channels: int, patch: int) -> Arguments:
        side = 6
        grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(1, side * side, 2)
        found = {"pixel_values": self._floats(1, side * side, channels * patch * patch)}
        return found | {"pixel_position_ids": grid, "image_position_ids": grid}

    def _pixel_values_videos(self) -> Arguments:
        vision = self.vision
        frames = _number(vision, "num_frames", "frames_per_clip", default=4)
        return {"pixel_values_videos": self._floats(1, frames, 3, *_size(vision))}

    def _flattened_patches(self) -> Arguments:
        width = _number(self.vision, "patch_embed_hidden_size", default=768) + 2
        patches = self._floats(1, 16, width)
        patches[..., 0], patches[..., 1] = np.arange(16) // 4 + 1, np.arange(16) % 4 + 1
        return {"flattened_patches": patches, "attention_mask": np.ones((1, 16), dtype=np.int64)}

    def _input_features(self) -> Arguments:
        audio = self.audio
        bands = ("num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "n_mels", "input_dim",
                 "mel_dim", "feature_size")  # fmt: skip
        mels = _number(audio, *bands, default=80) * _number(audio, "num_stacked_frames", default=1)
        if frames := _number(audio, "max_source_positions", default=0):
            found = {"input_features": self._floats(1, mels, 2 * frames)}
            mask = np.ones((1, 2 * frames), dtype=np.int64)
        else:
            found = {"input_features": self._floats(1, 96, mels)}
            mask = np.ones((1, 96), dtype=np.int64)
        for name in ("input_features_mask", "feature_attention_mask"):
            if name in self.names:
                found[name] = mask
        return found

    def _input_values(self) -> Arguments:
        if bands := _number(self.config, "num_mel_bins", default=0):
            length = _number(self.config, "max_length", default=64)
            return {"input_values": self._floats(1, length, bands)}
        wave = self._floats(1, 4000)
        codec = hasattr(self.config, "downsampling_ratios") or hasattr(self.config, "semantic_model_config")
        if codec or ("padding_mask" in self.names and "attention_mask" not in self.names):
            return {"input_values": wave[:, None]}
        return {"input_values": wave}

    def _audio_mel(self) -> Arguments:
        return {"audio_mel": self._floats(1, 96, 80)}

    def _ids(self, length: int) -> np.ndarray:
        words = _number(self.config, "vocab_size", default=0) or _number(
            self.config.get_text_config(), "vocab_size", default=LAST
        )
        return self.generator.integers(min(FIRST, words // 2), min(LAST, words), size=(1, length))

    def _floats(self, *shape: int) -> np.ndarray:
        return self.generator.standard_normal(shape).astype(np.float32)


def search(module: nn.Module, samples: int = 2) -> list[Arguments]:
    """Arguments of some samples with which the model runs. Raises what the last and simplest of them raised."""
    inputs, last = Inputs(module), RuntimeError("nothing to try")
    for names in inputs.candidates():
        tokens: dict[str, int] = {}
        for _ in range(4):
            try:
                made = [inputs.make(names, seed, tokens) for seed in range(samples)]
                run(module, batch_of(made))
                return made
            except Exception as error:
                last = error
                counted = COUNTS.search(str(error).replace("\n", " "))
                if counted is None or tokens.get(counted[1]) == int(counted[3]) // samples:
                    break
                tokens[counted[1]] = int(counted[3]) // samples
    raise last


def batch_of(samples: list[Arguments]) -> dict[str, torch.Tensor]:
    """Samples side by side."""
    return {name: torch.cat([torch.from_numpy(each[name]) for each in samples]) for name in samples[0]}


@torch.no_grad()
def run(module: nn.Module, batch: Mapping[str, Any]) -> Any:
    """The forward; what it draws is drawn alike each time."""
    torch.manual_seed(0)
    return module(**batch)


def _placeholder(config: Any, kind: str) -> int | None:
    names = {"Image": ("image_token_id", "image_token_index", "im_token_id", "image_patch_id"),
             "Video": ("video_token_id", "video_token_index"), "Audio": ("audio_token_id", "audio_token_index"),
             "Multimodal": ("image_token_id", "audio_token_id")}  # fmt: skip
    return next((found for name in names[kind] if isinstance(found := getattr(config, name, None), int)), None)


def _part(config: Any, *names: str) -> Any:
    return next((found for name in names if (found := getattr(config, name, None)) is not None), config)


def _number(config: Any, *names: str, default: int) -> int:
    for name in names:
        found = getattr(config, name, None)
        if isinstance(found, (list, tuple)) and found:
            found = found[-1]
        if isinstance(found, int) and found:
            return found
    return default


def _size(vision: Any) -> tuple[int, int]:
    """Height and width of a picture."""
    for name in ("image_size", "img_size", "input_size", "crop_size"):
        found = getattr(vision, name, None)
        if isinstance(found, int) and found > 1:
            return found, found
        if isinstance(found, (list, tuple)) and len(found) == 2:
            return int(found[0]), int(found[1])
    return 64, 64
