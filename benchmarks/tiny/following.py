"""transformers' own way through a film, for models that follow objects: a session, then one frame after the other."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

TOWERS = ("vision_encoder",)
"""Parts that see frames apart from one another: ours see several at a time."""


def follows(module: nn.Module) -> bool:
    """Whether its forward takes a session instead of a film."""
    return "inference_session" in inspect.signature(type(module).forward).parameters


def names(module: nn.Module) -> list[str]:
    """The arguments of its whole film."""
    words = hasattr(module, "detector_model")
    return ["pixel_values", *(("input_ids", "attention_mask") if words else ("input_points", "input_labels"))]


def through(module: nn.Module, batch: Mapping[str, Tensor]) -> ModelOutput:
    """The masks of one film: [1, frames, objects, h, w]. Of several: ValueError, a session holds one."""
    (film,) = batch["pixel_values"]
    kind: Any = inspect.signature(type(module).forward).parameters["inference_session"].annotation
    session = kind(video=film, video_height=film.shape[-2], video_width=film.shape[-1], dtype=torch.float32)
    if "input_ids" in batch:
        place = session.add_prompt("these words")
        session.prompt_input_ids[place] = batch["input_ids"]
        session.prompt_attention_masks[place] = batch["attention_mask"]
    else:
        place = session.obj_id_to_idx(1)
        shown = {"point_coords": batch["input_points"], "point_labels": batch["input_labels"]}
        session.add_point_inputs(place, 0, shown)
        session.obj_with_new_inputs = [1]
    found = [_mask(module, module(inference_session=session, frame_idx=at)) for at in range(len(film))]
    return ModelOutput(pred_masks=torch.stack(found)[None])


def _mask(module: nn.Module, output: Any) -> Tensor:
    """Of one frame: [objects, h, w], or where words name the objects their union [1, h, w]."""
    if "pred_masks" in output:
        return output.pred_masks.squeeze(1)
    masks = [each.float() for each in output.obj_id_to_mask.values()]
    side = module.config.low_res_mask_size
    return torch.stack(masks).max(0).values if masks else torch.full((1, side, side), -1024.0)


def joined(states: dict[str, list[Tensor]]) -> dict[str, list[Tensor]]:
    """Of the layers that see frames apart, what they gave for all frames as one."""
    return {path: [torch.cat(each)] if _apart(path.split(".")) else each for path, each in states.items()}


def _apart(segments: Sequence[str]) -> bool:
    return any(each in segments for each in TOWERS)
