"""Models that follow objects through a film: SAM 2, EdgeTAM, SAM 3.

Their forwards take one frame and a session, which holds the film, its prompts and what was seen of it so far. Here a
batch is a film with its prompt in the first frame, and the forward goes through all of its frames. The towers, which
look at each frame for itself, see FRAMES of them at a time, so that a streamed tower passes once for them; memory and
mask decoder run frame after frame, objects after each other, with transformers' own code.
"""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor, nn
from transformers.utils import ModelOutput

FRAMES = 8
"""Frames that the towers see at a time."""
TOWERS = frozenset({"vision_encoder", "text_encoder"})
"""Names of the parts whose layers run once for FRAMES frames, or once for a prompt."""
ASKED_AGAIN = frozenset({"mask_embed"})
"""Names of small stacks that run behind every layer of another."""
PROMPTS = frozenset({"input_points", "input_labels", "input_boxes", "input_masks"})
WORDS = frozenset({"input_ids", "attention_mask"})
NOTHING = -1024.0
"""The logit that transformers writes where no object is."""
_seen: ContextVar[deque[Any]] = ContextVar("frames that the detector's tower has seen, of the film of this greenlet")


@dataclass
class Followed(ModelOutput):
    """What became of a film: `pred_masks` [B, frames, objects, h, w], `object_score_logits` [B, frames, objects]; of a
    model that finds its objects by words [B, frames, 1, h, w], the largest logit of any."""

    pred_masks: Tensor | None = None
    object_score_logits: Tensor | None = None


def follows(kind: type[nn.Module]) -> bool:
    """Whether a class takes a session."""
    return "inference_session" in inspect.signature(kind.forward).parameters


def reads_words(kind: type[nn.Module]) -> bool:
    """Whether its objects are named by words instead of shown."""
    return kind.__name__.startswith("Sam3Video")


def arguments_of(kind: type[nn.Module]) -> frozenset[str]:
    """What a film's forward takes."""
    return frozenset({"pixel_values"}) | (WORDS if reads_words(kind) else PROMPTS)


def side_of(config: Any) -> int:
    """Pixels of a frame's side."""
    side = config.image_size
    return int(side[0] if isinstance(side, (list, tuple)) else side)


def staying(kind: type[nn.Module], layers: Iterable[str]) -> frozenset[str]:
    """The layers that run again for every frame, or that a decoder asks for a mask behind each of its own (OneFormer):
    they are small, and stay while towers are streamed."""
    parts = {each: each.split(".") for each in layers}
    if follows(kind):
        return frozenset(each for each in parts if TOWERS.isdisjoint(parts[each]))
    return frozenset(each for each in parts if not ASKED_AGAIN.isdisjoint(parts[each]))


def lead(module: nn.Module) -> None:
    """Gives a model that follows the forward of whole films.

    transformers' own forwards run in inference mode, which greenlets that share a thread would leave to one another: it
    is taken off. Kernels from the hub are code, and stay where they are."""
    sessions = inspect.signature(type(module).forward).parameters["inference_session"].annotation
    for each in module.modules():
        if follows(type(each)):
            each.forward = MethodType(inspect.unwrap(type(each).forward), each)
    code = vars(sys.modules[type(module).__module__])
    if "cv_utils_kernel" in code:
        code["cv_utils_kernel"] = False
    detector = getattr(module, "detector_model", None)
    if detector is not None:
        detector.get_vision_features = partial(_next_frame, detector.get_vision_features)
    module.forward = partial(_films, module, module.forward, sessions)


def _films(
    module: nn.Module, step: Callable[..., Any], sessions: type[Any], pixel_values: Tensor, **prompts: Tensor
) -> Followed:
    """Films [B, frames, 3, H, W], one after the other, each with its row of the prompts."""
    rows = [
        _film(module, step, sessions, film, {name: each[at : at + 1] for name, each in prompts.items()})
        for at, film in enumerate(pixel_values)
    ]
    masks = torch.stack([each[0] for each in rows])
    scores = None if rows[0][1] is None else torch.stack([each[1] for each in rows])
    return Followed(pred_masks=masks, object_score_logits=scores)


def _film(
    module: nn.Module, step: Callable[..., Any], sessions: type[Any], film: Tensor, prompts: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor | None]:
    """The masks [frames, objects, h, w] of one film, and whether each object is there [frames, objects]."""
    session = sessions(
        video=film, video_height=film.shape[-2], video_width=film.shape[-1], dtype=film.dtype,
        inference_device=film.device, inference_state_device=film.device, video_storage_device=film.device,
        max_vision_features_cache_size=FRAMES,
    )  # fmt: skip
    prompted = _named if reads_words(type(module)) else _shown
    prompted(session, prompts)
    found = []
    for at in range(len(film)):
        if at % FRAMES == 0:
            _look(module, session, film[at : at + FRAMES], at)
        found.append(step(inference_session=session, frame_idx=at))
    if reads_words(type(module)):
        side = module.low_res_mask_size
        return torch.stack([_any(each.obj_id_to_mask, side, film) for each in found]), None
    return (torch.stack([each.pred_masks[:, 0] for each in found]),
            torch.stack([each.object_score_logits.flatten() for each in found]))  # fmt: skip


def _shown(session: Any, prompts: Mapping[str, Tensor]) -> None:
    """Objects that are shown in the first frame, as transformers' processor puts them into a session: points
    [1, O, N, 2] and their labels, boxes [1, O, 4] as two points of their own labels, or masks [1, O, H, W]."""
    masks, points = prompts.get("input_masks"), prompts.get("input_points")
    labels, boxes = prompts.get("input_labels"), prompts.get("input_boxes")
    if points is not None and labels is None:
        labels = points.new_ones(points.shape[:3], dtype=torch.long)
    if boxes is not None:
        corners = boxes.reshape(1, -1, 2, 2)
        kinds = torch.tensor([2, 3], device=boxes.device).repeat(1, corners.shape[1], 1)
        points = corners if points is None else torch.cat([corners, points], 2)
        labels = kinds if labels is None else torch.cat([kinds, labels.long()], 2)
    given = points if masks is None else masks
    if given is None:
        raise NexusError("No object is shown in the first frame. Give the sample `points`, a `box` or a `mask`.")
    for at in range(given.shape[1]):
        place = session.obj_id_to_idx(at)
        if masks is not None:
            session.add_mask_inputs(place, 0, masks[:, at : at + 1])
        elif labels is not None:
            shown = {"point_coords": given[:, at : at + 1], "point_labels": labels[:, at : at + 1]}
            session.add_point_inputs(place, 0, shown)
    session.obj_with_new_inputs = list(range(given.shape[1]))


def _named(session: Any, prompts: Mapping[str, Tensor]) -> None:
    """Objects that words name: [1, T]."""
    ids = prompts.get("input_ids")
    if ids is None:
        raise NexusError("No words say what is to be found. Give the sample a `text`, such as: a dog.")
    mask = prompts.get("attention_mask")
    place = session.add_prompt("text")
    session.prompt_input_ids[place] = ids
    session.prompt_attention_masks[place] = torch.ones_like(ids) if mask is None else mask


def _look(module: nn.Module, session: Any, frames: Tensor, first: int) -> None:
    """Shows frames [N, 3, H, W] to the tower, and lays what it sees of each where the forward looks for it."""
    count = len(frames)
    if reads_words(type(module)):
        _seen.set(deque())
        whole = module.detector_model.get_vision_features(pixel_values=frames)
        _seen.set(deque(_of_frame(whole, at, count) for at in range(count)))
        return
    found = module.get_image_features(frames, return_dict=True)
    for at in range(count):
        seen = {"vision_feats": found.fpn_hidden_states, "vision_pos_embeds": found.fpn_position_encoding}
        own = {name: [each[:, at : at + 1] for each in maps] for name, maps in seen.items()}
        session.cache.cache_vision_features(first + at, own)


def _next_frame(native: Callable[..., Any], pixel_values: Tensor, **more: Any) -> Any:
    """What the detector's tower sees of the next frame, if it has looked already."""
    waiting = _seen.get(deque())
    return waiting.popleft() if waiting else native(pixel_values=pixel_values, **more)


def _of_frame(value: Any, at: int, count: int) -> Any:
    """One frame of what a tower saw of several."""
    if isinstance(value, Tensor):
        return value[at : at + 1] if len(value) == count else value
    if isinstance(value, ModelOutput):
        return type(value)(**{name: _of_frame(each, at, count) for name, each in value.items()})
    return type(value)(_of_frame(each, at, count) for each in value) if isinstance(value, (tuple, list)) else value


def _any(masks: Mapping[int, Tensor], side: int, like: Tensor) -> Tensor:
    """The largest logit of any object: [1, h, w]."""
    if not masks:
        return like.new_full((1, side, side), NOTHING)
    return torch.stack([each.to(like) for each in masks.values()]).amax(0)
