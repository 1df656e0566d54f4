"""Series, episodes and robots: numbers that come step by step."""

from __future__ import annotations

import numpy as np

from ..making import TARGET, Arguments, Maker

STEPS = 12


def series(maker: Maker) -> Arguments:
    """What was, what will be, and features of both times."""
    config = maker.config
    past, future = config.context_length + max(config.lags_sequence), config.prediction_length
    features = config.num_time_features
    return {
        "past_values": maker.floats(1, past), "past_observed_mask": np.ones((1, past), dtype=np.float32),
        "past_time_features": maker.floats(1, past, features), "future_values": maker.floats(1, future),
        "future_time_features": maker.floats(1, future, features),
    }  # fmt: skip


def channels(maker: Maker) -> Arguments:
    """Several series side by side."""
    return {"past_values": maker.floats(1, maker.config.context_length, maker.config.num_input_channels)}


def timesfm(maker: Maker) -> Arguments:
    """One series, none of it padded, and how often it is measured."""
    length = 4 * maker.config.patch_length
    return {
        "past_values": maker.floats(1, length), "past_values_padding": np.zeros((1, length), dtype=np.int64),
        "freq": np.zeros((1, 1), dtype=np.int64),
    }  # fmt: skip


def episode(maker: Maker) -> Arguments:
    """States, actions, rewards and what is still to come, step by step."""
    config = maker.config
    return {
        "states": maker.floats(1, STEPS, config.state_dim), "actions": maker.floats(1, STEPS, config.act_dim),
        "rewards": maker.floats(1, STEPS, 1), "returns_to_go": maker.floats(1, STEPS, 1),
        "timesteps": np.arange(STEPS)[None], "attention_mask": np.ones((1, STEPS), dtype=np.int64),
    }  # fmt: skip


def robot(maker: Maker) -> Arguments:
    """What an arm feels and sees, the noise of its next moves, and the instruction."""
    config = maker.config
    vision = config.vlm_config.vision_config
    found = {
        "state": maker.floats(1, config.max_state_dim),
        "noise": maker.floats(1, config.chunk_size, config.max_action_dim),
        "pixel_values": maker.floats(1, 1, 3, vision.image_size, vision.image_size),
        "pixel_attention_mask": np.ones((1, 1), dtype=bool),
    }  # fmt: skip
    ids = np.concatenate([np.full((1, (vision.image_size // vision.patch_size) ** 2),
                                  config.vlm_config.image_token_id), maker.ids(TARGET)], 1)  # fmt: skip
    return found | {"input_ids": ids, "attention_mask": np.ones_like(ids)}
