"""Pictures: pairs, clips, patches, and towers that run on the states of others."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..making import Arguments, Maker, number

SEEN = 9
"""Positions of another model's states."""


def pair(maker: Maker) -> Arguments:
    """Two pictures in which the same points are looked for."""
    return {"pixel_values": maker.floats(1, 2, number(maker.config, "num_channels", default=3), 64, 64)}


def queries(maker: Maker) -> Arguments:
    """Learnt queries, and the states of the tower that they ask."""
    config = maker.config
    return {
        "query_embeds": maker.floats(1, 8, config.hidden_size),
        "encoder_hidden_states": maker.floats(1, SEEN, config.encoder_hidden_size),
    }


def regions(maker: Maker) -> Arguments:
    """A text with features and boxes of what a detector found."""
    config = maker.config
    return maker.make("input_ids") | {
        "visual_feats": maker.floats(1, 5, config.visual_feat_dim), "visual_pos": maker.floats(1, 5, 4),
    }  # fmt: skip


def painted(maker: Maker) -> Arguments:
    """A picture, one that shows the task, and its mask."""
    height, width = maker.config.image_size
    names = ("pixel_values", "prompt_pixel_values", "prompt_masks")
    return {name: maker.floats(1, 3, height // 2, width) for name in names}


def filmed(maker: Maker) -> Arguments:
    """A text and a clip."""
    return maker.make("input_ids") | {"pixel_values": maker.floats(1, 2, 3, 64, 64)}


def tasked(maker: Maker) -> Arguments:
    """A picture and the words of the task."""
    return maker.make("pixel_values") | {"task_inputs": maker.ids(maker.config.task_seq_len)}


def grids(maker: Maker) -> Arguments:
    """Patches with their grid, and how many of them are merged."""
    config: Any = maker.config
    patches, grid = maker.patches(config, config.num_channels, config.patch_size)
    return {"pixel_values": patches, "grid_thw": grid, "merge_sizes": np.array([1])}


def tokens_of_picture(maker: Maker) -> Arguments:
    """One square of pixels for each token of the language model."""
    side = maker.config.patch_size * maker.config.spatial_merge_size
    return {"pixel_values": maker.floats(6, side, side, 3), "image_grid_thw": np.array([[1, 2, 3]])}


def squares(maker: Maker) -> Arguments:
    """Patches that are still squares."""
    patch = maker.config.patch_size
    return {"pixel_values": maker.floats(16, 3, patch, patch), "grid_thw": np.array([[1, 4, 4]])}


def strip(maker: Maker) -> Arguments:
    """Patches side by side, as MiniCPM's processor lays them."""
    patch = maker.config.patch_size
    return {"pixel_values": maker.floats(1, 3, patch, 64 * patch), "target_sizes": np.array([[8, 8]])}


def line_of_text(maker: Maker) -> Arguments:
    """A picture of a line."""
    return {"pixel_values": maker.floats(1, 3, 96, 192)}


def matte(maker: Maker) -> Arguments:
    """A picture with a fourth channel: where the border is looked for."""
    return {"pixel_values": maker.floats(1, 4, 64, 64)}


def pyramid(maker: Maker) -> Arguments:
    """A picture that shrunk to a quarter is still one patch of the first tower."""
    side = 4 * maker.config.patch_size
    return {"pixel_values": maker.floats(1, 3, side, side)}
