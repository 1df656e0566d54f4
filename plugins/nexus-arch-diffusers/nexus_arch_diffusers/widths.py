"""How wide what a block gives is, from the block itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

NAMES = ("inner_dim", "hidden_size", "dim", "model_dim", "hidden_dim", "embed_dim", "d_model")
"""What diffusers' transformers call their residual width, as an attribute or in their configuration."""


def widths(module: Any, layers: Sequence[str]) -> tuple[int, ...]:
    """Width of the output of each layer; -1 where it cannot be told."""
    blocks = [module.get_submodule(layer) for layer in layers]
    found = [_channels(block) for block in blocks]
    if all(width > 0 for width in found):
        return tuple(found)
    whole = _declared(module)
    return tuple(width if width > 0 else _residual(block, whole) for block, width in zip(blocks, found, strict=True))


def _channels(block: nn.Module) -> int:
    """Channels of a convolutional block: of what comes last in it, a resampler or the last ResNet."""
    for name in ("conv_out", "upsamplers", "downsamplers"):
        last = getattr(block, name, None)
        last = last[-1] if isinstance(last, nn.ModuleList) and len(last) else last
        if isinstance(last, nn.Module) and not isinstance(last, nn.ModuleList):
            width = getattr(last, "out_channels", None)
            return width if isinstance(width, int) else -1
    resnets = getattr(block, "resnets", None)
    last = resnets[-1] if isinstance(resnets, nn.ModuleList) and len(resnets) else block
    for each in (last, getattr(last, "spatial_res_block", None)):
        for name in ("out_channels", "out_dim"):
            width = getattr(each, name, None)
            if isinstance(width, int) and not isinstance(width, bool):
                return width
    return -1


def _declared(module: Any) -> int:
    """The width that a transformer says it has: an attribute, its configuration, heads times their width."""
    for place in (vars(module), module.config):             # what it lacks diffusers looks up there, and warns
        for name in NAMES:
            if isinstance(width := place.get(name), int):
                return width
    heads, each = (getattr(module.config, name, None) for name in ("num_attention_heads", "attention_head_dim"))
    return heads * each if isinstance(heads, int) and isinstance(each, int) else -1


def _residual(block: nn.Module, whole: int) -> int:
    """A block of the transformer's width if one of its linear maps ends there."""
    ends = {each.out_features for each in block.modules() if isinstance(each, nn.Linear)}
    return whole if whole in ends else -1
