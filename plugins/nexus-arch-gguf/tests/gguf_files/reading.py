"""A checkpoint filled part by part, as the engine does it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from nexus_arch_gguf.dequantise import dequantise
from nexus_arch_gguf.types import PLAIN, type_name
from nexus_torch.skeleton import absent, fill, holders
from torch import Tensor, nn

from .sizes import VOCABULARY

TOKENS = 24
EXACT = 1e-6
HALF_ROUNDING, HALF_SMALLEST = 2.0**-11, 2.0**-25
"""How far a number moves when it is rounded to half precision: as a share of it, and near zero."""


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


def errors(checkpoint: Any, expected: dict[str, Tensor]) -> dict[str, float]:
    """By weight, its largest error as a share of what each block of its stored tensors allows; above 1 is too much.
    What a block allows is carried through the same layout rules as its numbers."""
    found: dict[str, float] = {}
    for part in checkpoint.parts:
        raw = {extent.key: stored(extent) for extent in part.extents}
        middle, low, high = (_assembled(checkpoint, part, raw, sign) for sign in (0, -1, 1))
        for name, tensor in middle.items():
            if name in expected:
                allowed = torch.maximum((low[name] - tensor).abs(), (high[name] - tensor).abs()).clamp(min=EXACT)
                found[name] = float(((expected[name].float() - tensor).abs() / allowed).max())
    return found


def allowed(kind: str, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How far each number of these blocks (bytes, [blocks, bytes of one]) may be from what was stored. A block's step d
    is its largest number over 127 (Q8_0) or 8 (Q4_0), rounded to half precision: numbers are half a step off, and
    that rounding times their count of steps; in Q4_0 a whole step where 8 steps are cut to 7."""
    step = np.abs(rows[:, :2].copy().view(np.float16).astype(np.float32))
    if kind == "Q8_0":
        count = rows[:, 2:].view(np.int8).astype(np.float32)
        reach = np.full_like(count, 0.5)
    else:
        packed = rows[:, 2:]
        count = np.concatenate([packed & 15, packed >> 4], 1).astype(np.float32) - 8
        reach = np.where(count == 7, 1.0, 0.5)
    moved = np.maximum(step * HALF_ROUNDING, HALF_SMALLEST)
    return np.asarray(reach * step + (np.abs(count) + 1) * moved, dtype=np.float32)


def _assembled(checkpoint: Any, part: Any, raw: dict[str, Tensor], sign: int) -> dict[str, Tensor]:
    """The weights of a part, every stored number moved by what its block allows, down or up."""
    with mock.patch("nexus_arch_gguf.unpacked.dequantise", _moved(sign)):
        return {name: tensor.float() for name, tensor in checkpoint.assemble(part, raw).items()}


def _moved(sign: int) -> Callable[..., Tensor]:
    def opened(info: Any, data: Tensor) -> Tensor:
        found = dequantise(info, data)
        if info.kind in PLAIN or not sign:
            return found
        kind = type_name(info.kind)
        size = {"Q8_0": 34, "Q4_0": 18}[kind]
        return found + sign * torch.from_numpy(allowed(kind, data.numpy().reshape(-1, size))).reshape(found.shape)

    return opened
