"""What `memory.py` shows to a checkpoint, by what it takes and gives."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np


def given(takes: Collection[str], gives: Collection[str], number: int, length: int, side: int) -> dict[str, Any]:
    """Fields of one sample, by what a checkpoint takes and gives."""
    if tuple(takes) == ("video",):
        return _film(number)
    heard = tuple(takes) == ("audio",)
    fields = _text(number, length) if "text" in gives or not heard else {}
    if heard:
        fields |= _sound(number, length)
    if side and ("image" in takes or not {"text", "label", "embedding"} & set(gives)):
        fields |= _picture(number, side)
    return fields


def _text(number: int, tokens: int) -> dict[str, Any]:
    """Of so many tokens, in question and answer for those that write an answer."""
    text = f"{number} " + "a b" * (tokens // 3)
    return {"text": text, "target": text}


def _sound(number: int, states: int) -> dict[str, Any]:
    """Of so many states of 20 ms, at 16 kHz."""
    return {"audio": np.random.default_rng(number).standard_normal(states * 320).astype("float32")}


def _picture(number: int, side: int) -> dict[str, Any]:
    """Of so many pixels along each side."""
    return {"image": np.random.default_rng(number).integers(256, size=(side, side, 3), dtype="uint8")}


def _film(number: int) -> dict[str, Any]:
    """Of 16 pictures of 224 pixels."""
    return {"video": np.random.default_rng(number).integers(256, size=(16, 224, 224, 3), dtype="uint8")}
