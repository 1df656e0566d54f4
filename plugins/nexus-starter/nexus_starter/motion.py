"""Small films of a handwritten digit that moves, made from a part, an index and the shipped images."""

from __future__ import annotations

from functools import cache
from io import BytesIO

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .places import table

FRAMES, SIZE = 8, 16
# name: (pixels right, pixels down, turn in degrees, growth) for each frame
MOTIONS = {
    "still": (0, 0, 0, 0),
    "right": (1, 0, 0, 0),
    "left": (-1, 0, 0, 0),
    "down": (0, 1, 0, 0),
    "up": (0, -1, 0, 0),
    "down-right": (1, 1, 0, 0),
    "down-left": (-1, 1, 0, 0),
    "up-right": (1, -1, 0, 0),
    "up-left": (-1, -1, 0, 0),
    "clockwise": (0, 0, 1, 0),
    "anticlockwise": (0, 0, -1, 0),
    "grow": (0, 0, 0, 1),
    "shrink": (0, 0, 0, -1),
}
NAMES = tuple(MOTIONS)
PARTS = {"teacher": 11, "train": 12, "development": 13, "held_out": 14}
NOISE = (0.0, 0.45)  # standard deviation of the pixel noise, drawn for each film

Video = NDArray[np.uint8]
Pixels = NDArray[np.float64]
_AXIS = np.arange(SIZE) - (SIZE - 1) / 2
CENTRE, EDGE = 4.5, 8.999  # of a sprite: 8 x 8 pixels and a black edge of one


def clip(part: str, index: int) -> tuple[Video, int]:
    """The frames, [time, height, width, RGB], and the index of the motion in `NAMES`. Motions take turns."""
    draw = np.random.Generator(np.random.PCG64([PARTS[part], index]))
    label = index % len(NAMES)
    images = sprites(part)
    film = rendered(images[draw.integers(len(images))], *path(draw, label))
    film = film * draw.uniform(0.6, 1.0) + draw.uniform(*NOISE) * draw.standard_normal(film.shape)
    levels = (np.clip(film, 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1), label


def path(draw: np.random.Generator, label: int) -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """Where the sprite's centre stands, how far it is turned (radians) and how large it is, frame by frame."""
    right, down, turn, growth = MOTIONS[NAMES[label]]
    time = np.arange(FRAMES) - (FRAMES - 1) / 2
    speed = draw.uniform(0.35, 1.1)
    wobble = draw.normal(0, 0.25, (2, FRAMES))
    x = draw.uniform(-2, 2) + right * speed * time + wobble[0]
    y = draw.uniform(-2, 2) + down * speed * time + wobble[1]
    angle = np.radians(draw.uniform(-20, 20) + turn * draw.uniform(6, 20) * time)
    scale = draw.uniform(0.9, 1.1) * 2 ** (growth * draw.uniform(0.06, 0.18) * time)
    return x, y, angle, scale


def rendered(sprite: Pixels, x: Pixels, y: Pixels, angle: Pixels, scale: Pixels) -> Pixels:
    """The sprite in every frame at once, [time, height, width], sampled bilinearly; outside it is black."""
    x, y, cos, sin = (value[:, None] for value in (x, y, np.cos(angle) / scale, np.sin(angle) / scale))
    across, down = (_AXIS - x)[:, None, :], (_AXIS - y)[:, :, None]
    cos, sin = cos[..., None], sin[..., None]
    u = np.clip(cos * across + sin * down + CENTRE, 0, EDGE)
    v = np.clip(cos * down - sin * across + CENTRE, 0, EDGE)
    left, top = u.astype(int), v.astype(int)
    a, b = u - left, v - top
    flat, at = sprite.ravel(), top * len(sprite) + left
    upper = flat[at] * (1 - a) + flat[at + 1] * a
    lower = flat[at + len(sprite)] * (1 - a) + flat[at + len(sprite) + 1] * a
    return upper * (1 - b) + lower * b


@cache
def sprites(part: str) -> Pixels:
    """The part's digits, grey from 0 to 1 within a black edge. The teacher's films show the transfer part's as well."""
    parts = ("teacher", "train") if part == "teacher" else (part,)
    tables = [pq.read_table(table("digits", name), columns=["image"]) for name in parts]
    images = [image["bytes"].as_py() for found in tables for image in found["image"]]
    return np.stack([np.pad(grey(image), 1) for image in images])


def grey(png: bytes) -> Pixels:
    """The pixels of a PNG image, from 0 to 1."""
    from PIL import Image

    return np.asarray(Image.open(BytesIO(png)).convert("L"), np.float64) / 255
