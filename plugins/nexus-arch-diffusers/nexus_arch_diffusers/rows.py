"""Arguments of a denoiser for several timesteps of each sample, from those for one timestep.

Shapes: B samples, S timesteps; B * S rows, those of one sample beside each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

SHARED = frozenset({
    "img_ids", "txt_ids", "image_ids", "text_ids", "image_rotary_emb", "rotary_emb", "image_rotary_embedding",
    "visual_rope_pos", "text_rope_pos",
})  # fmt: skip
"""Arguments that are for all samples alike where they have two dimensions or fewer."""
LISTED = frozenset({"x", "cap_feats", "siglip_feats", "hidden_states", "encoder_hidden_states", "condition_latents"})
"""Arguments whose lists are of samples, even where each tensor is as long as there are samples (16 of Z-Image, whose
latents have 16 channels)."""
LAYERED = frozenset({"encoder_hidden_states_llama3"})
"""Arguments [L, B, ...]: what several layers of an encoder gave, one layer after another (HiDream)."""
Place = tuple[int, int]
"""Which of the given values, and which sample in it."""


def rows(values: Sequence[Mapping[str, Any]], places: Sequence[Place], samples: int) -> dict[str, Any]:
    """The arguments row by row: row r is sample `places[r][1]` of `values[places[r][0]]`. Frames that pass as rows
    (AnimateDiff's ControlNet) have a timestep each."""
    found = {name: _together(name, [each[name] for each in values], places, samples) for name in values[0]}
    main = next(iter(found.values()))
    frames = len(main) // len(places) if isinstance(main, Tensor) and main.ndim > 3 else 1
    single = (name for name, each in found.items() if isinstance(each, Tensor) and each.shape == (len(places),))
    return found | {name: found[name].repeat_interleave(frames) for name in single if frames > 1}


def parted(value: Any, count: int) -> list[Any]:
    """What a model answered for several calls, one behind the other, as the answer of each."""
    if isinstance(value, (list, tuple)):
        parts = [parted(each, count) for each in value]
        return [type(value)(part[at] for part in parts) for at in range(count)]
    return list(value.chunk(count)) if isinstance(value, Tensor) and value.ndim else [value] * count


def _together(name: str, values: Sequence[Any], places: Sequence[Place], samples: int) -> Any:
    first = values[0]
    if isinstance(first, Mapping):
        return {key: _together(key, [each[key] for each in values], places, samples) for key in first}
    if isinstance(first, Tensor):
        return _tensor(name, values, places, samples)
    if isinstance(first, list) and _by_sample(name, first, samples):
        return [values[which][sample] for which, sample in places]
    if isinstance(first, (list, tuple)) and name not in SHARED:
        parts = [_together(name, [each[at] for each in values], places, samples) for at in range(len(first))]
        return type(first)(parts) if type(first) in (list, tuple) else first
    if isinstance(first, float) and any(each != first for each in values):
        return torch.tensor([values[which] for which, _ in places])
    return first


def _by_sample(name: str, value: Sequence[Any], samples: int) -> bool:
    """Whether a list has one tensor for each sample: as many, and not each a batch (one for each of several blocks, or
    of several guides)."""
    if name in SHARED or len(value) != samples or not all(isinstance(each, Tensor) for each in value):
        return False
    return name in LISTED or not all(each.ndim > 1 and len(each) == samples for each in value)


def _tensor(name: str, values: Sequence[Tensor], places: Sequence[Place], samples: int) -> Tensor:
    first = values[0]
    if name in SHARED and first.ndim <= 2:
        return first
    if name in LAYERED:
        return torch.stack([values[which][:, sample] for which, sample in places], 1)
    if first.ndim == 0 or (first.shape == (1,) and samples > 1):
        return torch.stack([values[which].reshape(()) for which, _ in places])
    if len(first) == samples:
        return torch.stack([values[which][sample] for which, sample in places])
    if first.ndim > 2 and len(first) % samples == 0:        # the frames of a film, one after another
        size = len(first) // samples
        return torch.cat([values[which][sample * size : (sample + 1) * size] for which, sample in places])
    return first
