"""What kinds are shown: fields of a sample by its number, always the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from .kind import Maker

TOKENS, SECONDS, RATE = 64, 10, 16_000


def written(number: int) -> dict[str, Any]:
    """A text, in question and answer for those that write an answer."""
    return {"text": _text(number), "target": _text(number)}


def read(number: int) -> dict[str, Any]:
    """A text."""
    return {"text": _text(number)}


def answered(number: int) -> dict[str, Any]:
    """What is to be written about something else."""
    return {"target": _text(number)}


def named(number: int) -> dict[str, Any]:
    """What is looked for."""
    return {"text": f"{number} cats"}


def after(mark: str) -> Maker:
    """A text behind the mark of a sound."""
    return lambda number: {"text": mark + _text(number)}


def picture(number: int) -> dict[str, Any]:
    """As a camera of old takes it."""
    return {"image": _drawn(number, 480, 640)}


def film(number: int) -> dict[str, Any]:
    """16 pictures."""
    return {"video": _drawn(number, 16, 240, 320)}


def frames(number: int) -> dict[str, Any]:
    """Tensors of 16 pictures."""
    random = np.random.default_rng(number)
    return {"pixel_values_videos": random.standard_normal((1, 16, 3, 256, 256)).astype("float32")}


def sound(number: int, rate: int = RATE) -> dict[str, Any]:
    """Ten seconds."""
    wave = np.random.default_rng(number).standard_normal(SECONDS * rate).astype("float32")
    return {"audio": 0.1 * wave, "rate": rate}


def sound_24(number: int) -> dict[str, Any]:
    """Ten seconds at 24 kHz."""
    return sound(number, 24_000)


def spectra(mark: int, places: int, *size: int) -> Maker:
    """Tensors of a sound as an encoder takes it, in so many places of a prompt."""

    def make(number: int) -> dict[str, Any]:
        random = np.random.default_rng(number)
        ids = [5, *[mark] * places, *random.integers(10, 200, size=TOKENS).tolist()]
        return {"input_ids": ids, "input_features": random.standard_normal((1, *size)).astype("float32")}

    return make


def streams(number: int) -> dict[str, Any]:
    """Codes of ten seconds, at every step one of a text and 32 of a sound."""
    return {"input_ids": np.random.default_rng(number).integers(2048, size=(1, 125, 33))}


def patches(mark: int, side: int) -> Maker:
    """Tensors of a picture as Pixtral's tower takes it, a place of a prompt for each of its patches."""

    def make(number: int) -> dict[str, Any]:
        random = np.random.default_rng(number)
        row = [*[mark] * (640 // side), mark + 1]
        ids = [5, *row * (480 // side), *random.integers(10, 200, size=TOKENS).tolist()]
        pixels = random.standard_normal((1, 3, 480, 640)).astype("float32")
        return {"input_ids": ids, "pixel_values": pixels, "image_sizes": [[480, 640]]}

    return make


def _text(number: int) -> str:
    return f"{number} " + "a b" * (TOKENS // 3)


def _drawn(number: int, *size: int) -> Any:
    return np.random.default_rng(number).integers(256, size=(*size, 3), dtype="uint8")
