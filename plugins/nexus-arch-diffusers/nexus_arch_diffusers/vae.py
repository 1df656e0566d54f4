"""Pictures and films to the latents that a denoiser works on, by the numbers in the VAE's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor, nn

TILED = frozenset({"AutoencoderKLAllegro"})
"""VAEs that diffusers has no way for but tile by tile: its pipeline turns that on, and so do we."""


PIXELS = (1, 3)
"""Channels of what is a picture, and no latents."""


def encode(vae: Any, media: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> [B, C, h, w]; [B, F, H, W, 3] -> [B, C, f, h, w], or frame by frame [B, F, C, h, w] where
    the VAE's encoder knows pictures alone. The middle of the distribution: nothing is drawn."""
    values = media.movedim(-1, 1).to(vae.dtype) / 127.5 - 1
    flat = _takes_pictures(vae)
    if values.ndim == 5 and flat:
        values = values.transpose(1, 2).flatten(0, 1)
    elif values.ndim == 4 and not flat:
        values = values[:, :, None]
    found = normalised(vae, _middle(vae.encode(values)))
    return found.unflatten(0, media.shape[:2]) if media.ndim == 5 and flat else found


def as_pixels(media: Tensor, channels: int) -> Tensor:
    """uint8 [B, H, W, 3] -> [B, C, H, W] in -1..1, of a denoiser that works on pixels; of one channel, grey."""
    values = media.movedim(-1, 1).float() / 127.5 - 1
    return values.mean(1, keepdim=True) if channels == 1 else values


def frames_at(vae: Any) -> int:
    """The dimension in which the frames of a film lie that was encoded."""
    return 1 if _takes_pictures(vae) else 2


def normalised(vae: Any, latents: Tensor) -> Tensor:
    """As the denoiser was trained on them: (z - mean) / std * factor by channel, or (z - shift) * factor. Means and
    deviations stand in the configuration, or among the weights (LTX)."""
    config, stored = vae.config, dict(vae.named_buffers(recurse=False))
    factor, shift = (_number(config, name, none) for name, none in (("scaling_factor", 1.0), ("shift_factor", 0.0)))
    means, deviations = (stored[name] if name in stored else getattr(config, name, None)
                         for name in ("latents_mean", "latents_std"))  # fmt: skip
    if means is not None and deviations is not None:
        shape = (1, -1, *(1,) * (latents.ndim - 2))
        mean, deviation = (torch.as_tensor(each).reshape(shape).to(latents) for each in (means, deviations))
        return (latents - mean) / deviation * factor
    return (latents - shift) * factor


def _number(config: Any, name: str, none: float) -> float:
    value = none if (said := getattr(config, name, None)) is None else said
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (none and not value):
        raise NexusError(f"The VAE's config.json sets {name} = {str(value)[:40]!r}: no such number. Fetch it again.")
    return float(value)


def watched(vae: nn.Module | None, side: str) -> bool:
    """Whether anything looks at the layers of one side ("encoder", "decoder"). An engine that streams puts forwards of
    its own before every layer, and looks at none of them by that."""
    part = getattr(vae, side, None)
    return isinstance(part, nn.Module) and any(each._forward_hooks for each in part.modules())


def pictures(pipeline: Any, given: Mapping[str, Any], batch: int) -> Tensor:
    """Grey pictures of the size that the VAE's encoder can take: [B, H, W, 3]."""
    side = 2 * _shrinking(pipeline)
    height, width = (int(given.get(name) or side) for name in ("height", "width"))
    return torch.full((batch, height, width, 3), 128, dtype=torch.uint8)


def _shrinking(pipeline: Any) -> int:
    """Pixels for each latent along a side, by whatever of pipeline, VAE and configuration says it; the most of them."""
    config = pipeline.vae.config
    steps = (len(getattr(config, name, None) or ()) for name in ("block_out_channels", "dim_mult"))
    said = [
        *(getattr(pipeline, name, None) for name in ("vae_scale_factor", "vae_scale_factor_spatial")),
        *(getattr(config, name, None) for name in ("scale_factor_spatial", "spatial_compression_ratio")),
        getattr(pipeline.vae, "spatial_compression_ratio", None),
        *(2 ** (count - 1) for count in steps if count),
    ]
    return max([2, *(int(each) for each in said if isinstance(each, int) and 0 < each <= 256)])


def takes_media(vae: Any) -> bool:
    """Whether a VAE encodes pictures or films, and not sound (its waves, or its spectra of one channel)."""
    first = convolution(vae)
    return first is not None and first.in_channels > 1


def _takes_pictures(vae: Any) -> bool:
    return isinstance(convolution(vae), nn.Conv2d)


def convolution(vae: Any) -> nn.Conv2d | nn.Conv3d | None:
    """The first of its encoder's over more than one dimension."""
    return next((each for each in vae.encoder.modules() if isinstance(each, (nn.Conv2d, nn.Conv3d))), None)


def _middle(encoded: Any) -> Tensor:
    """The latents of an encoder's answer, whichever it gives: a distribution, latents, or a tuple."""
    for name in ("latent_dist", "latents", "latent"):
        if (found := getattr(encoded, name, None)) is not None:
            return found.mode() if name == "latent_dist" else found
    first = encoded[0]
    return first.mode() if hasattr(first, "mode") and not isinstance(first, Tensor) else first
