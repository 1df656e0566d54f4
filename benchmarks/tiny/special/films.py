"""Films in which something is followed: what is to be followed is shown in the first frame, or named."""

from __future__ import annotations

import numpy as np

from ..making import Arguments, Maker, part_of

FRAMES = 3


def pointed(maker: Maker) -> Arguments:
    """A film and two points on one object of its first frame: [1, frames, 3, H, W], [1, 1, 2, 2], [1, 1, 2]."""
    side = _side(maker)
    points = np.array([[[[side / 2, side / 2], [side / 4, side / 3]]]], dtype=np.float32)
    return {
        "pixel_values": maker.floats(1, FRAMES, 3, side, side), "input_points": points,
        "input_labels": np.array([[[1, 0]]]),
    }  # fmt: skip


def named(maker: Maker) -> Arguments:
    """A film and the words for what is looked for in it."""
    side, words = _side(maker), part_of(maker.config.detector_config, "text_config")
    ids = maker.generator.integers(10, words.vocab_size - 10, size=(1, 7))
    return {"pixel_values": maker.floats(1, FRAMES, 3, side, side), "input_ids": ids, "attention_mask": ids * 0 + 1}


def _side(maker: Maker) -> int:
    side = maker.config.image_size
    return int(side if isinstance(side, int) else side[0])
