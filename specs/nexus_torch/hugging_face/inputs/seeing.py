"""How many positions a picture has, or a sound of a fixed length: in its tower, and in the text in which it stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from transformers import PreTrainedConfig

from ..configuration.experts import nearest_config
from ..configuration.reading import text_part

PICTURE = (480, 640)
"""Height and width of a picture where a tower takes any size."""
SHOWN = ("mm_tokens_per_image", "vision_soft_tokens_per_image", "num_query_tokens", "image_seq_length")
"""Names of how many places a picture has at most in a text."""
MERGED = ("spatial_merge_size", "downsample_factor", "scale_factor")
"""Names of how many neighbours, along one side, become one place."""
TOKENS = ("image_token_id", "image_token_index")
"""Names of the token that stands for a picture."""
HIDES = frozenset({"vit_mae"})
"""Model types whose forward hides patches, whoever asks."""
PYRAMIDS = ("depths", "hidden_sizes", "embed_dims")
"""Names that say that a tower grows narrower and wider: its positions and its width do not belong together."""


def positions(config: PreTrainedConfig) -> int:
    """Patches that a tower makes of a picture, or of a film; 0 where its configuration does not say.

    >>> positions(CLIPVisionConfig(image_size=336, patch_size=14))             # doctest: +SKIP
    576
    """
    sides = pair(getattr(config, "patch_size", None))
    if not sides or any(isinstance(getattr(config, name, None), (list, tuple)) for name in PYRAMIDS):
        return 0
    height, width = pair(getattr(config, "image_size", None)) or PICTURE
    tubelet, frames = whole(config, "tubelet_size") or 1, whole(config, "num_frames") or 1
    return (height // sides[0]) * (width // sides[1]) * max(1, frames // tubelet)


def heard(config: PreTrainedConfig) -> int:
    """Positions that an encoder of spectra has of any sound, which is filled up to the longest (Whisper: 1500 of 30
    seconds); 0 of others."""
    return whole(config, "max_source_positions") if whole(config, "num_mel_bins") else 0


def seen(towers: Iterable[tuple[PreTrainedConfig | None, int]]) -> int:
    """Values of the largest state that a tower has of one picture, or of one sound of a length that it says: its
    positions times its width. `towers` are (the configuration nearest to a stack, its width)."""
    return max(
        (max(positions(config), heard(config)) * width for config, width in towers if config and width > 0), default=0
    )


def places(config: PreTrainedConfig) -> int:
    """Positions that a picture, or one tile of it, takes in a text; 0 where a model has no token for it."""
    tower = getattr(config, "vision_config", None)
    if not isinstance(tower, PreTrainedConfig) or not any(whole(config, name) for name in TOKENS):
        return 0
    merged = max((whole(each, name) for each in (config, tower) for name in MERGED), default=0) or 1
    ratio = getattr(config, "downsample_ratio", None)
    if isinstance(ratio, float) and 0 < ratio < 1:
        merged = max(merged, round(1 / ratio))
    said = [found for name in SHOWN if (found := whole(config, name))]
    counted = [found] if (found := positions(tower) // merged**2) else []
    return min([*said, *counted], default=0)


def tower(module: nn.Module, path: str, *, beside: bool) -> PreTrainedConfig | None:
    """The configuration of a tower of pictures or of sounds, where it stands `beside` a text one of its own, or is the
    encoder of sounds before it; None of anything else."""
    config: Any = module.config
    found = nearest_config(module, path)
    if found is None or (
        beside and (found is config or found is text_part(config)) and not (heard(found) and _encodes(module, path))
    ):
        return None
    return found if positions(found) or heard(found) else None


def _encodes(module: Any, path: str) -> bool:
    """Whether a stack is of the encoder."""
    names = path.split(".")
    around = {id(module.get_submodule(".".join(names[:at]))) for at in range(1, len(names))}
    return hasattr(module, "get_encoder") and id(module.get_encoder()) in around


def frames_of(config: PreTrainedConfig) -> int:
    """Frames of a film for which a model has places; 0: any number."""
    return max(whole(each, "num_frames") for each in (config, getattr(config, "vision_config", config)))


def hidden_patch(config: PreTrainedConfig) -> int:
    """Pixels of a patch's side of a model that hides patches by chance and is told here to hide none; 0 of others."""
    return whole(config, "patch_size") if config.model_type in HIDES else 0


def whole(config: PreTrainedConfig, name: str) -> int:
    """A positive whole number, the largest where layers differ in it; 0 for whatever else stands there."""
    try:
        found = getattr(config, name, None)
    except RuntimeError:                                    # transformers tells it of one layer only (Dots 3)
        return max(whole(each, name) for each in config.per_layer_config)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


def pair(found: Any) -> tuple[int, int] | None:
    """Height and width, of one number or of two."""
    pair = found if isinstance(found, (list, tuple)) else (found, found)
    whole = len(pair) == 2 and all(isinstance(each, int) and each > 0 for each in pair)
    return (pair[0], pair[1]) if whole else None
