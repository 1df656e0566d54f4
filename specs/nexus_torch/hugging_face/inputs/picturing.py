"""The pictures of a sample, as Pillow's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from nexus_specs import NexusError
from PIL import Image
from torch import Tensor

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
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)     # which would copy it


def spread(film: Any, count: int) -> Sequence[Any]:
    """So many frames of a film, spread evenly over it, the first and the last among them; 0: all. Of a shorter film
    some come twice: such models have a place for each.

    >>> spread("abcdefgh", 3), spread("ab", 4), spread("ab", 0)
    (['a', 'e', 'h'], ['a', 'a', 'b', 'b'], 'ab')
    """
    if not count or len(film) == count or not len(film):
        return film  # type: ignore[no-any-return]
    return [film[int(at)] for at in np.linspace(0, len(film) - 1, count).round()]


def in_order(pixels: Tensor, patch: int) -> Tensor:
    """What a masked autoencoder sorts the patches of pictures [B, C, H, W] by: their own order, [B, patches]."""
    count = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch)
    return torch.arange(count, dtype=torch.float32).expand(len(pixels), -1)
