"""Tables of positions, made piece by piece: diffusers makes one of 113 MB (Stable Diffusion 3) by way of 340 MB."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from diffusers.models import embeddings
from torch import Tensor

NAME, PLACES = "get_2d_sincos_pos_embed_from_grid", 4096
"""What makes them in diffusers, and the places that are made at a time."""


@contextlib.contextmanager
def sparing() -> Iterator[None]:
    """While models are made: the same numbers, which every model keeps in single precision."""
    native = getattr(embeddings, NAME)

    @functools.wraps(native)
    def made(width: int, grid: Any, *args: Any, **given: Any) -> Any:
        if not isinstance(grid, Tensor) or given.get("output_type") != "pt":
            return native(width, grid, *args, **given)
        places = grid.reshape(2, -1)
        table = places.new_empty((places.shape[1], width), dtype=torch.float32)
        for at in range(0, len(table), PLACES):
            table[at : at + PLACES] = native(width, places[:, at : at + PLACES], *args, **given)
        return table

    setattr(embeddings, NAME, made)
    try:
        yield
    finally:
        setattr(embeddings, NAME, native)
