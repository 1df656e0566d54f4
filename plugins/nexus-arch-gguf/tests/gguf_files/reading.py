"""A checkpoint filled part by part, as the engine does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from nexus_torch.skeleton import absent, fill, holders
from torch import Tensor, nn

from .tiny import VOCABULARY

TOKENS = 24


def loaded(checkpoint: Any) -> tuple[nn.Module, dict[str, Tensor]]:
    """The module with all its weights, and these by name; each part is given only its own stored tensors."""
    module = checkpoint.skeleton()
    tied, found = holders(module), {}
    for part in checkpoint.parts:
        raw = {extent.key: stored(extent) for extent in part.extents}
        made = {name: tensor.float() for name, tensor in checkpoint.assemble(part, raw).items()}
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
    found = model(input_ids=ids, **arguments)
    return found.logits if "logits" in found else found.last_hidden_state


def differences(expected: dict[str, Tensor], found: dict[str, Tensor]) -> dict[str, float]:
    """By name, the largest difference; infinite where the shapes differ."""
    return {
        name: float((tensor - expected[name].float()).abs().max())
        if name in expected and tensor.shape == expected[name].shape else float("inf")
        for name, tensor in found.items() if name in expected
    }  # fmt: skip
