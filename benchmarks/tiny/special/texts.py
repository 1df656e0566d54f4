"""Texts that something belongs to: a picture, a question, marks, the states of another model."""

from __future__ import annotations

import numpy as np

from ..making import TARGET, Arguments, Maker

STEPS = 12
SEEN = 9
"""Positions of another model's states."""


def placed(maker: Maker) -> Arguments:
    """A text whose first positions are those of the picture."""
    config = maker.config
    count = config.latent_query_num
    ids = maker.ids(count + TARGET)
    mask = np.zeros_like(ids)
    mask[:, 1 : count + 1] = 1
    found = {"input_ids": ids, "attention_mask": np.ones_like(ids), "image_embeds_position_mask": mask}
    if "flattened_patches" not in maker.names:
        return found | maker.make("pixel_values")
    return found | {"flattened_patches": maker.make("flattened_patches")["flattened_patches"]}


def marked(maker: Maker) -> Arguments:
    """A text with the places of options, and how many there are of each question."""
    return {
        "input_ids": maker.ids(STEPS), "marks": np.array([[3, 7]]), "num_options": np.array([[2, 2]]),
        "question_type_ids": np.array([[0, 0]]),
    }  # fmt: skip


def guided(maker: Maker) -> Arguments:
    """Positions to fill, and the states of the model that is helped."""
    config = maker.config
    width = config.hidden_size
    return {"noise_embeds": maker.floats(1, config.block_size, width),
            "attention_mask": np.ones((1, SEEN + config.block_size), dtype=np.int64),
            "context_hidden_states": maker.floats(1, SEEN, width * len(config.target_layer_ids))}  # fmt: skip


def shown(maker: Maker) -> Arguments:
    """A text that may look at one picture from every position."""
    ids, side = maker.ids(STEPS), maker.vision.image_size
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "pixel_values": maker.floats(1, 1, 3, side, side),
            "image_attention_mask": np.ones((1, STEPS, 1), dtype=np.int64)}  # fmt: skip


def questioned(maker: Maker) -> Arguments:
    """A picture or clip, the question for the queries, and the text."""
    side, frames = maker.vision.image_size, () if "video" not in maker.config.model_type else (4,)
    return {"pixel_values": maker.floats(1, *frames, 3, side, side), **maker.make("qformer_input_ids"),
            **maker.make("input_ids")}  # fmt: skip
