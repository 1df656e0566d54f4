"""A checkpoint filled part by part, as the engine does it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from nexus_torch.skeleton import absent, fill, holders
from torch import Tensor, nn

from .sizes import VOCABULARY

TOKENS = 24


def loaded(checkpoint: Any) -> tuple[nn.Module, dict[str, Tensor]]:
    """The module with all its weights, and these by name; each part is given only its own stored tensors."""
    module = checkpoint.skeleton()
    tied, found = holders(module), {}
    for part in checkpoint.parts:
        raw = {extent.key: stored(extent) for extent in part.extents}
        made = checkpoint.assemble(part, raw)
        made = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in made.items()}
        fill(module, made, tied)
        found |= made
    assert not absent(module), absent(module)
    return module, found


def stored(extent: Any) -> Tensor:
    """The bytes of a range."""
    with Path(extent.file).open("rb") as file:
        file.seek(extent.start)
        return torch.frombuffer(bytearray(file.read(extent.stop - extent.start)), dtype=torch.uint8)


@torch.no_grad()
def outputs(model: Any) -> Tensor:
    """Logits, or states of a body, for the same tokens each time."""
    ids = (torch.arange(TOKENS)[None] * 7 + 3) % VOCABULARY
    arguments = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    if hasattr(model.config, "linear_attn_config") or model.config.model_type == "kimi_linear":
        arguments["use_cache"] = False                       # its own cache asks a layer for what it has not
    if model.main_input_name == "pixel_values":
        size = model.config.image_size
        found = model(pixel_values=torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)))
    elif "noise_embeds" in inspect.signature(model.forward).parameters:
        found = model(**drafting(model.config))
    else:
        found = model(input_ids=ids, **arguments)
    return found.logits if "logits" in found else found.last_hidden_state


def drafting(config: Any) -> dict[str, Tensor]:
    """What a draft model computes from: states of the model that it drafts for, and embeddings of masks."""
    source = torch.Generator().manual_seed(0)
    wide = len(config.target_layer_ids) * config.hidden_size
    return {
        "noise_embeds": torch.randn(1, config.block_size, config.hidden_size, generator=source),
        "context_hidden_states": torch.randn(1, TOKENS, wide, generator=source),
    }


def differences(expected: dict[str, Tensor], found: dict[str, Tensor]) -> dict[str, float]:
    """By name, the largest difference; infinite where the shapes differ."""
    return {
        name: float((tensor - expected[name].float()).abs().max())
        if name in expected and tensor.shape == expected[name].shape else float("inf")
        for name, tensor in found.items() if name in expected
    }  # fmt: skip
