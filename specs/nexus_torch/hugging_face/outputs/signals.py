"""What a model of transformers gives, in standard terms: logits with the states before them, scores of classes, sound,
masks of a film, one vector for each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Signal
from torch import Tensor, nn

from nexus_torch.padding import real, unpad

EMBEDDINGS = ("image_embeds", "audio_embeds", "video_embeds", "text_embeds", "embeddings", "pooler_output")
"""Names of one vector for each sample."""
SCORES = ("logits", "prediction_logits", "initial_token_logits")
"""Names of what a head gives each token."""
MAPS = (
    "logits", "pred_logits", "class_queries_logits", "decoder_class_logits", "predicted_depth", "predicted_normal",
    "reconstruction", "alphas", "heatmaps", "seq_relationship_logits", "itm_score", "mean_predictions",
    "prediction_outputs", "params",
)  # fmt: skip
"""Names of what a head gives each point, object or choice of a sample: its map, in whatever shape. Of one that gives
none of these it is what stands first."""
OWN = (*EMBEDDINGS, "last_hidden_state")
"""Names of one vector for each sample, or of what makes one, in the output of a head itself."""
STATES = ("last_hidden_state", "feature_maps", "encoder_last_hidden_state")
"""Names of what a body gives each token or patch, and of the maps that a backbone makes of a picture."""
_body: ContextVar[Any] = ContextVar("body", default=None)
ENDS = ("start_logits", "end_logits")
"""Names of what one gives each token that looks for an answer in a text."""


def signal(output: Any, batch: Batch, gives: Sequence[str], channels: int, *, films: bool) -> Signal:
    """Logits of a vocabulary as outputs["logits"] with `hidden` before them; scores of classes, sound, the masks of a
    film, and scores of tokens, points or choices as outputs["output"]; else an embedding. `gives` is the blueprint's,
    `channels` the rows of codes that a decoder takes for one sample."""
    if gives == ("text",):
        return _text(output, batch, channels)
    if gives == ("label",):
        return Signal(outputs={"output": getattr(output, "logits", None) if "logits" in output else _first(output)})
    if gives == ("audio",):
        return Signal(outputs={"output": _sound(output, batch, channels)})
    if films:
        return Signal(outputs={"output": output.pred_masks, "embedding": output.pred_masks.flatten(3).mean(-1)})
    below, scores = _below(output, batch), _scored(output, batch)
    if scores is None and {"scores", "predictions"}.intersection(gives):
        scores = _map(output, batch)
        below = _vector(output, batch) if below is None and _has_own(output) else below
    if scores is not None:
        return Signal(outputs={"output": scores} | ({} if below is None else {"embedding": below}))
    vector = _embedding(output, _mask(batch), getattr(batch, "side", {}).get("stands_in", ""))
    vector = _of_tokens(_of_each(vector, batch), batch)
    return Signal(outputs={"output": vector, "embedding": vector if below is None else below})


def _mask(batch: Batch) -> Tensor | None:
    """Which tokens of a text are real: as the forward is told, or as is known where it takes no mask."""
    found: Tensor | None = batch.get("attention_mask", getattr(batch, "side", {}).get("mask"))
    return found


def _of_tokens(found: Tensor, batch: Batch) -> Tensor | list[Tensor]:
    """Vectors [B, T, D] of which each belongs to a token (ColPali's) without those of padding; others as they are."""
    mask = _mask(batch)
    if found.ndim != 3 or not isinstance(mask, Tensor) or mask.shape != found.shape[:2]:
        return found
    return unpad(found, mask.bool())


def _scored(output: Any, batch: Batch) -> list[Tensor] | None:
    """The scores [T, C] that a head gives each token of a sample (of words that are hidden, of kinds of names, of where
    an answer begins and ends), without padding; None of a head that gives each sample something."""
    tokens = batch.get("input_ids")
    ends = [getattr(output, name, None) for name in ENDS]
    whole = all(isinstance(each, Tensor) for each in ends)
    found = torch.stack(ends, -1) if whole else next(
        (each for name in SCORES if isinstance(each := getattr(output, name, None), Tensor)), None
    )  # fmt: skip
    if not isinstance(tokens, Tensor) or found is None or found.shape[:2] != tokens.shape or found.ndim > 3:
        return None
    mask = _mask(batch)
    if not isinstance(mask, Tensor) or mask.shape != tokens.shape:
        mask = torch.ones_like(tokens)
    return [real(row, kept) for row, kept in zip(found, mask, strict=True)]


def _map(output: Any, batch: Batch) -> Tensor | None:
    """What a head gives each sample, as transformers does; None of one that gives nothing of these names."""
    count = int(getattr(batch, "side", {}).get("count", 0))
    found = next((each for name in MAPS if (each := _whole(getattr(output, name, None))) is not None), None)
    found = _first(output) if found is None else found
    return found if len(found) == (count or len(found)) else None


def _whole(value: Any) -> Tensor | None:
    """A tensor, or several of one shape side by side (the numbers of a distribution: its middle, its width); None for
    anything else."""
    if isinstance(value, tuple) and value and all(isinstance(each, Tensor) for each in value):
        return torch.stack(value, -1) if len({each.shape for each in value}) == 1 else None
    return value if isinstance(value, Tensor) else None


def remember_body(module: nn.Module, body: nn.Module) -> None:
    """Lets the output of a head carry that of its body, `body`. Between the two a forward that is led may wait, and
    others run meanwhile: each has a context of its own."""

    def of_body(_: nn.Module, __: Any, output: Any) -> None:
        _body.set(output)

    def after(_: nn.Module, __: Any, output: Any) -> Any:
        last = _body.get()
        _body.set(None)
        if last is not None and output is not None and not isinstance(output, (Tensor, tuple)):
            object.__setattr__(output, "body", last)
        return output

    body.register_forward_hook(of_body)
    module.register_forward_hook(after)


def remember_state(module: nn.Module, head: nn.Module) -> None:
    """Lets the output carry what went into the head: the same object, taken when the head runs."""
    last: list[Tensor] = []

    def into(_: nn.Module, inputs: tuple[Any, ...], __: Any) -> None:
        last[:] = inputs[:1]                                # behind the head: forwards that are led may wait before it

    def after(_: nn.Module, __: Any, output: Any) -> Any:
        if last and output is not None:
            object.__setattr__(output, "final", last.pop())
        return output

    head.register_forward_hook(into)
    module.register_forward_hook(after)


def _below(output: Any, batch: Batch) -> Tensor | None:
    """The vector of each sample that a head has below it: of its body's states. None where the output is a body's or an
    embedding itself."""
    body = getattr(output, "body", None)
    if _has_own(output) or not any(getattr(body, name, None) is not None for name in (*EMBEDDINGS, *STATES)):
        return None
    return _of_each(_embedding(body, _mask(batch)), batch)


def _has_own(output: Any) -> bool:
    """Whether an output holds states or vectors of its own."""
    return any(getattr(output, name, None) is not None for name in OWN)


def _vector(output: Any, batch: Batch) -> Tensor:
    """The vector of each sample in the output of a head; of one that has a vector for each place, their mean."""
    found = _of_each(_embedding(output, None), batch)
    return found.flatten(1, -2).mean(1) if found.ndim > 2 else found


def _of_each(found: Tensor, batch: Batch) -> Tensor:
    """One row for each sample of a tower that gives one for each patch of all pictures, or for each frame: the mean of
    a sample's, by its grid where the pictures have any size. Rows [N, D] or [N, T, D] -> [B, D]. NexusError for what
    is of no sample alone: Jev answers one prompt a batch."""
    count = int(getattr(batch, "side", {}).get("count", 0))
    if not count or len(found) == count:
        return found
    if count == 1 and found.ndim == 1:
        return found[None]                                  # the scores of one prompt
    if found.ndim < 2 or len(found) < count:
        raise NexusError(f"The model gives {len(found)} rows for {count} samples. Give it one sample a batch.")
    found = found.mean(1) if found.ndim == 3 else found
    grids = next((batch[name] for name in ("grid_thw", "image_grid_thw") if name in batch), None)
    areas = grids.prod(-1).tolist() if isinstance(grids, Tensor) and len(grids) == count else [1] * count
    if any(len(found) * area % sum(areas) for area in areas):
        raise NexusError(f"The model gives {len(found)} rows for {count} samples. Give it one sample a batch.")
    parts = found.split([len(found) * area // sum(areas) for area in areas])
    return torch.stack([part.mean(0) for part in parts])


def _text(output: Any, batch: Batch, channels: int) -> Signal:
    """Logits with what belongs to them; those of `channels` codebooks side by side: [B, channels, T, V]."""
    side = getattr(batch, "side", {})
    decoded = "decoder_input_ids" in batch
    mask = side.get("decoder_mask") if decoded else _mask(batch)
    tokens = batch.get("decoder_input_ids" if decoded else "input_ids")
    within = getattr(output, "body", None)                  # a decoder whose scores the whole keeps to itself (BLIP)
    told: Any = within if getattr(output, "logits", None) is None and hasattr(within, "logits") else output
    scores = told.logits if getattr(told, "logits", None) is not None else _first(output)
    final = getattr(told, "final", None)
    seen = "pixel_values" in batch and not decoded          # a picture's states may stand before the words' (GIT)
    if seen and tokens is not None and scores.ndim == 3 and scores.shape[1] > tokens.shape[1]:
        scores, final = (None if each is None else each[:, -tokens.shape[1]:] for each in (scores, final))
    if tokens is None or scores.shape[:2] != tokens.shape[:2]:          # frames of a sound: no token to each
        tokens = mask = None
    if decoded and channels > 1:
        scores, tokens, mask = scores.unflatten(0, (-1, channels)), None, None
    return Signal(
        hidden=final if tokens is not None else None,
        tokens=tokens,
        mask=None if mask is None else mask.bool(),
        spans=side.get("spans") if tokens is not None else None,
        outputs={"logits": scores},
    )


def _first(output: Any) -> Tensor:
    """The first tensor of numbers in an output, however deep; not a loss. NexusError where there is none."""
    items = [output] if isinstance(output, Tensor) else list(output.values() if isinstance(output, Mapping) else output)
    for item in items:
        if isinstance(item, Tensor) and item.is_floating_point() and item.ndim:
            return item
    for item in items:
        if isinstance(item, (tuple, list, Mapping)) and len(item):
            return _first(item)
    raise NexusError("The model's output holds no numbers that could be observed. Tap a module by its path instead.")


def _sound(output: Any, batch: Batch, channels: int) -> Tensor:
    """The waves of an output, by name: before a codec's stands its loss, one number for each sample. Of a decoder of
    codes their logits, those of a sample's codebooks side by side: [B, channels, T, V]."""
    named = (getattr(output, name, None) for name in ("audio_values", "waveform"))
    found = next((each for each in named if isinstance(each, Tensor)), None)
    if found is not None:
        return found
    found = _first(output)
    coded = channels > 1 and "decoder_input_ids" in batch and found is getattr(output, "logits", None)
    return found.unflatten(0, (-1, channels)) if coded else found


def _embedding(output: Any, mask: Tensor | None, empty: str = "") -> Tensor:
    """The vector of each sample; of two encoders side by side not that of the one that had nothing (`empty`)."""
    for name in EMBEDDINGS:
        if empty and name == f"{empty}_embeds":
            continue
        if (found := getattr(output, name, None)) is not None:
            return found
    states = getattr(output, "last_hidden_state", None)
    maps = getattr(output, "feature_maps", None)            # of a backbone: the deepest is what it comes to
    states = maps[-1] if states is None and isinstance(maps, (tuple, list)) and maps else states
    states = _first(output) if states is None else states
    if states.ndim != 3:
        return states.flatten(2).mean(-1) if states.ndim == 4 else states
    return _mean(states, mask)


def _mean(states: Tensor, mask: Tensor | None) -> Tensor:
    """Of the states [B, T, D] of real tokens: [B, D]."""
    weight = torch.ones(states.shape[:2]) if mask is None or mask.shape != states.shape[:2] else mask
    weight = weight.to(states)[..., None]
    return (states * weight).sum(1) / weight.sum(1)
