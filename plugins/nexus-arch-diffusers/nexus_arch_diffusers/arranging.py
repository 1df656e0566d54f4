"""Latents in the arrangement that a pipeline has them in, and films that are decoded in one call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from nexus_specs import NexusError
from torch import Tensor

MANY = 1 << 20
"""Frames that may be decoded in one call."""


def whole_films(pipe: Any) -> Callable[..., Any]:
    """A pipeline's decoding of latents [B, F, C, H, W], all films in one call where it would decode a few frames at a
    time: a sample's frames must not pass in one call with another's, nor in several."""
    native = pipe.decode_latents
    known = inspect.signature(native).parameters
    if "decode_chunk_size" not in known or not hasattr(pipe.vae, "decode"):
        return native
    if "num_frames" not in known:                           # pictures one by one (AnimateDiff, Latte)
        return functools.partial(_at_once, native)

    def decode(latents: Tensor, num_frames: int, *_: Any, **__: Any) -> Tensor:
        flat = latents.flatten(0, 1) / pipe.vae.config.scaling_factor
        frames = pipe.vae.decode(flat, num_frames=num_frames).sample
        return frames.unflatten(0, (-1, num_frames)).transpose(1, 2).float()

    return decode


def _at_once(native: Callable[..., Any], *args: Any, **given: Any) -> Any:
    bound = inspect.signature(native).bind(*args, **given)
    bound.arguments["decode_chunk_size"] = MANY
    return native(*bound.args, **bound.kwargs)


def arranged(pipe: Any, clean: Tensor, noise: Tensor) -> Tensor:
    """Clean latents in the arrangement of the noise: some pipelines pack patches into tokens."""
    if clean.shape == noise.shape:
        return clean
    if clean.ndim == 5 and clean.transpose(1, 2).shape == noise.shape:
        return clean.transpose(1, 2)                        # frames before channels (CogVideoX)
    pack = getattr(pipe, "_pack_latents", None)
    if pack is not None and clean.ndim == 5 and clean.shape[2] == 1 and "height" in inspect.signature(pack).parameters:
        clean = clean[:, :, 0]                              # the one frame of a picture (Qwen-Image)
    if pack is not None and clean.ndim > noise.ndim:
        sizes = inspect.signature(pack).parameters
        try:
            clean = pack(clean, *clean.shape) if "height" in sizes else pack(
                clean, *(getattr(pipe, f"transformer_{name}_patch_size", 1) for name in ("spatial", "temporal"))
            )
        except (RuntimeError, TypeError, ValueError):
            clean = clean[:0]
    if clean.shape != noise.shape:
        raise NexusError(
            f"The latents of the picture have the shape {list(clean.shape[1:])}, the pipeline's "
            f"{list(noise.shape[1:])}. Give pictures of the size that it makes (#height=...&width=...), or latents."
        )
    return clean
