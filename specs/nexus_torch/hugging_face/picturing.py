"""The pictures of a sample, as Pillow's."""

from __future__ import annotations

from typing import Any

import numpy as np
from nexus_specs import NexusError
from PIL import Image

SEVERAL = "images"
"""What data sets call a column of several pictures."""


def pictures(given: Any, channels: int) -> list[Image.Image]:
    """The pictures of one sample: uint8 [H, W, C] (or [H, W]), or several of them in a list or a stack [N, H, W, C]."""
    several = isinstance(given, (list, tuple)) or np.ndim(given) == 4
    if several and not len(given):
        raise NexusError("A sample has an empty list of pictures. Leave the field out, or give it one.")
    return [picture(each, channels) for each in (given if several else [given])]


def picture(pixels: Any, channels: int) -> Image.Image:
    """A picture with as many channels as the model takes: 1 or 3."""
    array = np.asarray(pixels)
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise NexusError(f"Images are uint8 [height, width, channels]; this one is {array.dtype} {array.shape}.")
    image = Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)
    return image.convert("L" if channels == 1 else "RGB")
