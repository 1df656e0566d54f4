"""Which dimension of a state is which (samples, tokens, width), and which mask of a batch is its."""

from __future__ import annotations

import re

from nexus_specs import Batch, NexusError
from torch import Tensor

_CROSSED = re.compile(r"(?i)(?:encdec\w*|encoder_attn|cross_?att\w*)\.(?:\w+\.)*(?:k|v|key|value)(?:_proj)?$")
"""Keys and values that a decoder makes of what its encoder gave."""
_ATTENTION = re.compile(r"(?i)att(?:n|ention|\b|_)|\b[qk]_?(?:layer)?norm")
_ONE_EXPERT = re.compile(r"\bexperts?\.(?P<number>(?:expert_)?\d+)(?:\.|$)")
_GRIDS = ("image_grid_thw", "grid_thw", "video_grid_thw")
"""How many patches a picture has, in each direction."""
_HEAD = re.compile(r"(?i)^(?!.*enc)[^.]*$|(?:lm_head|proj_out)$")
"""What stands behind encoder and decoder."""
_MEDIA = re.compile(r"(?i)(?:^|[._])(?:vision|visual|image|audio|video|speech|sound)(?!\w*text)")
"""Towers of pictures and sounds beside text."""


def mask_of(batch: Batch, path: str = "") -> Tensor | None:
    """The mask [B, T] of real tokens that is a module's, if there is one. Beside an encoder's there may be a decoder's
    (`side["masks"]`, by the path of its stack): that of all that is in the decoder, but for what it makes of the
    encoder's states, and of what stands behind both (a head). Pictures beside text have none."""
    side = getattr(batch, "side", {})
    mask, decoders = side.get("mask", batch.get("attention_mask")), dict(side.get("masks", {}))
    if path and decoders and not _CROSSED.search(path):
        inside = (each for place, each in decoders.items() if f"{path}.".startswith(f"{_decoder(place)}."))
        behind = next(iter(decoders.values())) if _HEAD.search(path) else None
        decoded = next(inside, behind)
        mask = mask if decoded is None else decoded
    elif path and _beside_text(batch, path):
        mask = None
    return mask.bool() if isinstance(mask, Tensor) and mask.ndim == 2 else None


def positions(batch: Batch, mask: Tensor | None, path: str = "") -> tuple[int, int] | None:
    """(B, T) of a batch of tokens, by its mask, or where there is none by the tokens themselves; None for media."""
    tokens = batch.get("input_ids") if mask is None and not _beside_text(batch, path) else mask
    return (tokens.shape[0], tokens.shape[1]) if isinstance(tokens, Tensor) and tokens.ndim == 2 else None


def sequence(
    state: Tensor, tokens: tuple[int, int] | None = None, path: str = "", batch: Batch | None = None
) -> Tensor:
    """A state as [B, T, D]: feature maps [B, C, H, W] (of films [B, C, F, H, W]) position by position, vectors [B, D]
    as one position; of `tokens` (B, T) heads or streams beside each other, wherever they stand ([B, T, H, D];
    [B, H, T, D]: Gemma 3's norms of queries; [H, B, T, D]: Gemma 3n); what a model keeps as [T, B, D] (XLNet) is
    turned, too, and what its loader says is [B, D, T] (`side["across"]`, paths of stacks: SqueezeBERT)."""
    if state.ndim == 3 and tokens == (state.shape[0], state.shape[2]) and _across(batch or {}, path):
        return state.transpose(1, 2)
    if state.ndim == 4 and tokens and (order := _order(state, tokens, path)):
        return state.permute(order).flatten(2)
    if state.ndim == 3 and tokens and tokens[0] != tokens[1] and tokens == state.shape[1::-1]:
        return state.transpose(0, 1)
    if state.ndim in (4, 5):
        return state.flatten(2).transpose(1, 2)
    return state[:, None] if state.ndim == 2 else state


def by_sample(state: Tensor, samples: int, path: str = "", batch: Batch | None = None) -> Tensor | list[Tensor]:
    """Several rows for each sample (timesteps of a diffusion model, frames of a film, patches of a picture), those of
    one sample beside each other, as one longer sequence: [B * N, T, D] -> [B, N * T, D]; by the sizes of the pictures,
    where these have any size, a list of [N_i * T, D]. NexusError where it is not known which rows are whose."""
    if state.ndim != 3 or len(state) <= samples:
        return state
    shares = _shares(batch or {}, samples, path)
    if shares == [] and len(state) % samples == 0:
        return state.unflatten(0, (samples, -1)).flatten(1, 2)
    if not shares or any(len(state) * share % sum(shares) for share in shares):
        raise NexusError(
            f"'{path}' gives {len(state)} rows for {samples} samples, and it is not known how many are of each: let "
            "one sample pass at a time, with micro_batch 1 (--micro-batch 1)."
        )
    return [rows.flatten(0, 1) for rows in state.split([len(state) * share // sum(shares) for share in shares])]


def check_routed(path: str, state: Tensor, tokens: tuple[int, int] | None) -> None:
    """NexusError for what one expert of several gives: it is shown some tokens of all samples, and nobody knows which.
    """
    found = _ONE_EXPERT.search(path)
    if found and tokens is not None and tuple(state.shape[:2]) != tokens:
        raise NexusError(
            f"'{path}' is one of several experts, and is shown some tokens of all samples: what it gives is of no "
            f"sample. Tap '{path[: found.start('number') - 1]}' as a whole, or the layer."
        )


def _shares(batch: Batch, samples: int, path: str) -> list[int] | None:
    """What of each sample goes into a tower of pictures, in parts of the whole; [] where all have the same, None where
    that is not known: several pictures, or tiles of them, may belong to one sample."""
    grids = next((batch[name] for name in _GRIDS if isinstance(batch.get(name), Tensor)), None)
    if grids is not None:
        return [int(each) for each in grids.prod(-1)] if grids.shape[:1] == (samples,) else None
    pictures = batch.get("pixel_values")
    if samples == 1 or not _beside_text(batch, path) or not isinstance(pictures, Tensor):
        return []
    return [] if pictures.ndim == 4 and len(pictures) == samples else None


def _order(state: Tensor, tokens: tuple[int, int], path: str) -> tuple[int, ...] | None:
    """The dimensions of a state of four in the order samples, tokens, others; None for a feature map. Where sizes agree
    by chance, heads that were turned before their tokens lie in memory as they stood, and modules of an attention have
    samples first."""
    turned = state.stride(1) < state.stride(2) and state.stride(3) == 1
    attends = bool(_ATTENTION.search(path))
    samples, streams = tokens == state.shape[:2], tokens == state.shape[1:3]
    heads = tokens == (state.shape[0], state.shape[2])
    square = state.shape[2] == state.shape[3] and not (samples or streams)      # a picture's, as a rule
    if heads and (turned or (attends and not samples) or not (samples or streams or square)):
        return 0, 2, 1, 3
    return (0, 1, 2, 3) if samples else (1, 2, 0, 3) if streams else None


def _decoder(place: str) -> str:
    """The module that is the decoder, by the path of its stack."""
    names = place.split(".")
    return ".".join(names[: names.index("decoder") + 1]) if "decoder" in names else place


def _across(batch: Batch, path: str) -> bool:
    return any(path.startswith(f"{place}.") for place in getattr(batch, "side", {}).get("across", ()))


def _beside_text(batch: Batch, path: str) -> bool:
    """Whether a module is a tower of what stands beside a text; beside a text alone none is, whatever its name
    (VisualBERT's is `visual_bert`)."""
    if "input_ids" not in batch or not _MEDIA.search(path):
        return False
    return any(not name.endswith(("ids", "mask")) for name in batch)
