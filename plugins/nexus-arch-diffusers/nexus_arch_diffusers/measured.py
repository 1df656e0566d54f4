"""How wide what a VAE's blocks give is, where no attribute of theirs says so: its own forward over a small film, on the
meta device."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import torch
from nexus_torch.hugging_face.inputs.passing import passing
from torch import Tensor, nn

from .vae import convolution

SIDE, FRAMES = 64, (1, 9, 7)
"""Pixels along a side, and frames of a film: one alone, or as many as fill a latent frame beside it."""


def measured(module: nn.Module, layers: Iterable[str]) -> dict[str, int]:
    """Width of what each of these layers gives, as far as a forward comes; `module` is on the meta device, and of no
    use behind it."""
    found: dict[str, int] = {}
    media = _media(module)
    for layer in layers if media else ():
        module.get_submodule(layer).register_forward_hook(functools.partial(_keep, found, layer))
    for each in media:
        if passing(module, {"sample": each}):
            break
    return found


def _media(module: Any) -> list[Tensor]:
    """Pictures or films that its encoder may take; none of what has no encoder of those."""
    first = convolution(module) if isinstance(getattr(module, "encoder", None), nn.Module) else None
    if first is None or not hasattr(module, "decoder"):
        return []
    shapes = [()] if isinstance(first, nn.Conv2d) else [(count,) for count in FRAMES]
    return [torch.empty(1, 3, *shape, SIDE, SIDE, device="meta") for shape in shapes]


def _keep(found: dict[str, int], layer: str, _: nn.Module, __: Any, output: Any) -> None:
    """Hook of a layer: channels of a map or a film, of others the last dimension."""
    state = output[0] if isinstance(output, (tuple, list)) else output
    if isinstance(state, Tensor):
        found.setdefault(layer, state.shape[1 if state.ndim > 3 else -1])
