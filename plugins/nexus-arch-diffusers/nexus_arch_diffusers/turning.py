"""How much a block of a denoiser has at one time that turns what attention asks and looks up (rotary embeddings): its
own code runs on the meta device, as that of texts does (`alive`)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import torch
from nexus_torch.hugging_face.inputs.alive import Following, Fused
from torch import nn

POSITIONS = 64
"""Of a picture, and as many of its prompt."""
TURNS = "image_rotary_emb"
"""The argument with sines and cosines."""


def turning(module: nn.Module, layers: Iterable[str]) -> int:
    """Values that the largest block, which is there with the next one, has at most for each position; 0 where it turns
    nothing, or its arguments are others."""
    blocks = {type(found): found for found in map(module.get_submodule, layers)}
    largest = max(blocks.values(), key=lambda block: sum(each.numel() for each in block.parameters()), default=None)
    return 0 if largest is None else _most(largest)


def _most(block: nn.Module) -> int:
    names = [inspect.signature(inspect.unwrap(kind.forward)).parameters for kind in type(block).__mro__
             if "forward" in vars(kind)]                    # one whose streams are swapped takes anything (`streams`)
    arguments = next((each for each in names if TURNS in each), {})
    weight = next(block.parameters(), None)
    attention = getattr(block, "attn", None) or getattr(block, "attn1", None)
    if TURNS not in arguments or weight is None or not weight.is_meta or attention is None:
        return 0
    with suppress(Exception), Following(block) as following, Fused(), torch.no_grad():
        block(**_given(attention, arguments, weight.dtype))
        return following.most // (2 * POSITIONS)
    return 0


def _given(attention: Any, arguments: Iterable[str], dtype: torch.dtype) -> dict[str, Any]:
    """States of a picture and of a prompt, of one timestep, and what turns them."""
    width = int(attention.inner_dim)
    each = int(getattr(attention, "head_dim", 0) or width // attention.heads)
    turns = torch.empty(2 * POSITIONS, each, device="meta")
    given: dict[str, Any] = {
        "hidden_states": torch.empty(1, POSITIONS, width, dtype=dtype, device="meta"),
        "encoder_hidden_states": torch.empty(1, POSITIONS, width, dtype=dtype, device="meta"),
        "temb": torch.empty(1, width, dtype=dtype, device="meta"),
        TURNS: (turns, turns),
    }
    if "encoder_hidden_states" not in arguments:            # both have come together before
        given["hidden_states"] = torch.empty(1, 2 * POSITIONS, width, dtype=dtype, device="meta")
    return {name: value for name, value in given.items() if name in arguments}
