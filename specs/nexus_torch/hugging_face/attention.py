"""Causal attention in bfloat16 on a processor: blocks of queries against the keys before them, by matrix products.

torch's fused kernel is made for long sequences and gains nothing from bfloat16: for 8 samples x 4 heads x 470 tokens
x 32 it takes 15 ms on one core, this 7 ms, a third of an extraction less. In float32 the kernel is as fast; that, and
everything but causal attention under bfloat16 autocast, goes to it. Shapes: B samples, H heads, T tokens, D width.
"""

from __future__ import annotations

import inspect
import re
import sys
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from .configuration.reading import text_part

NAME = "nexus_bfloat16_blocks"
BLOCK = 128
"""Queries in one block."""
MINUS_INFINITY = 0xFF80
"""Its bits in bfloat16, which numpy has not."""
PLAIN = frozenset({"dropout", "scaling", "is_causal", "position_ids", "use_cache", "cache_position", "sliding_window"})
"""Settings that change nothing here once the mask is known; with any other that is set, SDPA decides."""
ASKS = re.compile(r"_attn_implementation\s*(==|!=|in\b|not in\b)")


def use_blocks(module: PreTrainedModel) -> None:
    """Lets a decoder that reaches its attention through transformers' interface use this instead of SDPA."""
    config = text_part(module.config)
    through = bool(getattr(type(module), "_supports_attention_backend", False))
    if through and module.can_generate() and config._attn_implementation == "sdpa" and not _asks(module):
        config._attn_implementation = NAME


def _asks(module: nn.Module) -> bool:
    """Whether some code of the model asks by name which attention it has, and does otherwise for one it does not know
    (sparse attention of DeepSeek V3.2 leaves its mask out)."""
    places = {type(each).__module__ for each in module.modules()}
    return any(_asks_there(place) for place in places if place.startswith("transformers.models."))


@lru_cache(maxsize=256)
def _asks_there(place: str) -> bool:
    return ASKS.search(inspect.getsource(sys.modules[place])) is not None


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
) -> tuple[Tensor, None]:
    """transformers' attention interface: [B, H, T, D] -> [B, T, H, D]."""
    if not (_half(query) and query.shape[2] == key.shape[2] and _nothing_else(settings)
            and _only_causal(module, attention_mask, settings)):  # fmt: skip
        plain: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
        return plain
    groups = query.shape[1] // key.shape[1]
    scale = settings.get("scaling") or query.shape[-1] ** -0.5
    return causal(query, repeat_kv(key, groups), repeat_kv(value, groups), scale).transpose(1, 2), None


def causal(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Each token looks at itself and those before it: [B, H, T, D] -> bfloat16 [B, H, T, D]."""
    batch, heads, length, _ = query.shape
    query, key, value = (
        each.bfloat16().reshape(batch * heads, length, each.shape[-1]) for each in (query, key, value)
    )
    blocks = []
    for first in range(0, length, BLOCK):
        last = min(length, first + BLOCK)
        hidden = _future(first, last).expand(batch * heads, -1, -1)
        scores = torch.baddbmm(hidden, query[:, first:last], key[:, :last].transpose(1, 2), alpha=scale)
        blocks.append(torch.bmm(torch.softmax(scores, -1), value[:, :last]))
    return torch.cat(blocks, 1).view(batch, heads, length, -1)


def causal_and_padded(mask: Tensor) -> bool:
    """Whether a mask [B, 1, T, T] (True: seen) hides the future and keys on the right, padding, and nothing else."""
    if mask.dtype != torch.bool or mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[2] != mask.shape[3]:
        return False
    last = mask[:, :, -1:]                                  # of the longest: it sees every key that is no padding
    on_the_right = bool((last[..., 1:] <= last[..., :-1]).all())
    past = torch.ones(mask.shape[2:], dtype=torch.bool).tril()
    return on_the_right and bool((mask == (past & last)).all())


def _half(query: Tensor) -> bool:
    enabled: bool = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return enabled and query.device.type == "cpu"


def _nothing_else(settings: dict[str, Any]) -> bool:
    named = [name for name, value in settings.items() if value is not None and value is not False]
    return PLAIN.issuperset(named) and not settings.get("dropout")


def _only_causal(module: nn.Module, mask: Tensor | None, settings: dict[str, Any]) -> bool:
    """Without a mask the module says so; with one, it shows. The layers of a model share a mask, and what it shows."""
    if mask is None:
        said = settings.get("is_causal")
        return bool(getattr(module, "is_causal", True) if said is None else said)
    if (known := getattr(mask, "causal_and_padded", None)) is None:
        known = causal_and_padded(mask)
        mask.causal_and_padded = known
    return bool(known)


@lru_cache(maxsize=64)
def _future(first: int, last: int) -> Tensor:
    """What is added to the scores of queries `first` to `last`: -inf for keys after them, [last - first, last].

    Made by numpy, which no dispatch mode sees: a table that outlives the forward that asked first is no state of it,
    and the streaming engine would wait for it to go."""
    seen = np.arange(last) <= np.arange(first, last)[:, None]
    return torch.from_numpy(np.where(seen, 0, MINUS_INFINITY).astype(np.uint16)).view(torch.bfloat16)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
