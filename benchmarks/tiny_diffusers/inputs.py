"""Arguments of a denoiser's forward, by name; what its latents look like is found by trying."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .shrinking import CHANNELS, HEADS, TEXT, WIDTH

TOKENS, WORDS, FRAMES, SIDE = 16, 6, 3, 8
MOMENT = 500.0
WIDTHS = (
    "cross_attention_input_dim", "text_dim", "text_embed_dim", "joint_attention_dim", "caption_channels", "text_in_dim",
    "cap_feat_dim", "caption_channel", "cross_attention_dim", "encoder_hidden_size", "in_text_dim",
    "encoder_hidden_states_channels", "cond_token_dim", "context_in_dim",
)  # fmt: skip
"""What configurations call the width of the text."""
SHAPES = ("picture", "film", "frames", "tokens", "sound", "list")
"""What latents look like: [C, H, W], [C, F, H, W], [F, C, H, W], [N, C], [C, N], a list of films."""


def latents(how: str, channels: int, side: int = SIDE) -> Any:
    """One sample's latents (pictures, for a VAE: larger) of a form, with the batch's dimension."""
    shape = {
        "picture": (channels, side, side), "film": (channels, FRAMES, side, side), "tokens": (TOKENS, channels),
        "frames": (FRAMES, channels, side, side), "sound": (channels, 2 * side), "list": (channels, 1, side, side),
    }[how]  # fmt: skip
    value = _numbers(0, *shape)
    return [value] if how == "list" else value[None]


def arguments(module: nn.Module, exceptions: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Sets of arguments, likeliest first."""
    parameters = [name for name in inspect.signature(inspect.unwrap(type(module).forward)).parameters if name != "self"]
    config: Any = module.config
    channels = next((value for name in ("in_channels", "in_dim", "io_channels", "in_visual_dim", "latent_channel")
                     if isinstance(value := getattr(config, name, None), int)), CHANNELS)  # fmt: skip
    timed = any(name in parameters for name in ("timestep", "timesteps", "t", "timestep_ratio"))
    if not timed and "Autoencoder" in type(module).__name__:
        channels = getattr(config, "in_channels", getattr(config, "audio_channels", 3))
    for how in SHAPES:
        given = {name: each for at, name in enumerate(parameters[1:], 1)
                 if (each := _argument(name, config, at)) is not None}  # fmt: skip
        yield {parameters[0]: latents(how, channels, SIDE if timed else 32), **given} | dict(exceptions)


def _argument(name: str, config: Any, seed: int) -> Any:
    text = next((value for each in WIDTHS if isinstance(value := getattr(config, each, None), int)), TEXT)
    made: Mapping[str, Any] = {
        "timestep": torch.tensor([MOMENT]), "timesteps": torch.tensor([MOMENT]), "t": torch.tensor([0.5]),
        "r_timestep": torch.tensor([MOMENT]), "timestep_ratio": torch.tensor([0.5]),
        "encoder_hidden_states": _numbers(seed, 1, WORDS, text), "pooled_projections": _numbers(seed, 1, TEXT),
        "encoder_hidden_states_mask": torch.ones(1, WORDS, dtype=torch.bool),
        "text_bth": _numbers(seed, 1, WORDS, text), "text_lens": torch.tensor([WORDS]),
        "cap_feats": [_numbers(seed, WORDS, text)],
        "encoder_attention_mask": torch.ones(1, WORDS, dtype=torch.bool),
        "txt_ids": torch.zeros(WORDS, _axes(config)), "img_ids": _places(_axes(config)),
        "guidance": torch.tensor([3.0]) if getattr(config, "guidance_embeds", False) else None,
        "class_labels": torch.tensor([1]) if getattr(config, "num_embeds_ada_norm", None) else None,
        "original_size": torch.tensor([[64, 64]]), "target_size": torch.tensor([[64, 64]]),
        "crop_coords": torch.zeros(1, 2), "sample_posterior": False, "num_frames": FRAMES, "height": 2, "width": 2,
        "img_shapes": [(1, 4, 4)], "txt_seq_lens": [WORDS], "padding_mask": torch.zeros(1, 1, SIDE, SIDE),
        "fps": 16, "added_time_ids": _numbers(seed, 1, 3), "global_hidden_states": _numbers(seed, 1, 1, TEXT),
        "text_embeds": _numbers(seed, 1, TEXT), "prior_token_drop": torch.zeros(1, dtype=torch.bool),
    }  # fmt: skip
    return made.get(name)


def _axes(config: Any) -> int:
    axes = next((value for name in ("axes_dims_rope", "axes_dims", "rope_axes_dim")
                 if isinstance(value := getattr(config, name, None), (list, tuple))), (0, 0, 0))  # fmt: skip
    return len(axes)


def _places(axes: int) -> Tensor:
    side = int(TOKENS**0.5)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    found = torch.zeros(TOKENS, axes)
    found[:, 1], found[:, 2 if axes > 2 else 1] = rows.flatten(), columns.flatten()
    return found


def _numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


__all__ = ["HEADS", "SHAPES", "WIDTH", "arguments", "latents"]
