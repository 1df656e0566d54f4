"""Rotary embeddings in a configuration: base, share of a head, scaling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor, nn
from transformers import PreTrainedConfig

from .fields import real, whole
from .source import Source

SCALING: Mapping[str, str | None] = {"none": None, "linear": "linear", "yarn": "yarn", "longrope": "longrope"}
FACTORS = ("rope.scaling.factor", "rope.scale_linear")
"""The second is how files of before October 2023 spell it."""
YARN: Mapping[str, str] = {
    "rope.scaling.yarn_attn_factor": "attention_factor", "rope.scaling.yarn_beta_fast": "beta_fast",
    "rope.scaling.yarn_beta_slow": "beta_slow", "rope.scaling.attn_factor": "attention_factor",
}  # fmt: skip
DEFAULT_BASE = 10000.0
APART = ("gemma3", "gemma3n", "gemma4", "gemma-embedding", "modern-bert", "mimo2", "step35")
"""Where local layers turn with the default base unless the file says otherwise; elsewhere (OLMo 3) as global ones.
Source: `rope_freq_base_train_swa` of llama.cpp's `src/models`."""
LONG, SHORT, PER_FREQUENCY = "rope_factors_long.weight", "rope_factors_short.weight", "rope_freqs.weight"
"""Tensors of factors; the last one divides the frequencies themselves (Llama 3)."""
FREQUENCIES = tuple(f"{each}inv_freq" for each in ("", "original_", "full_attention_", "full_attention_original_"))
"""Names of buffers that the last one divides: of all layers, or of those that see everything."""


def rotary(source: Source, known: PreTrainedConfig, head: int) -> dict[str, Any]:
    """The field `rope_parameters` for a configuration class that has it; `head` is the width of a head."""
    example = getattr(known, "rope_parameters", None)
    if not isinstance(example, dict):
        return {}
    full = {"rope_type": "default", "rope_theta": real(source, "rope.freq_base", DEFAULT_BASE)}
    share = whole(source, "rope.dimension_count", head) / head if head else 1.0
    if 0 < share < 1 or "partial_rotary_factor" in example:
        full["partial_rotary_factor"] = min(share, 1.0)
    full |= _scaling(source)
    if "full_attention" not in example:
        return {"rope_parameters": full | _sections(source)}
    base = DEFAULT_BASE if source.architecture in APART else full["rope_theta"]
    local = {"rope_type": "default", "rope_theta": real(source, "rope.freq_base_swa", base)}
    near = whole(source, "attention.key_length_swa", head)
    width = whole(source, "rope.dimension_count_swa", min(whole(source, "rope.dimension_count", head), near))
    if near and width < near:
        local["partial_rotary_factor"] = width / near
    return {"rope_parameters": {"full_attention": full, "sliding_attention": local}}


def _scaling(source: Source) -> dict[str, Any]:
    factor = next((real(source, key, 1.0) for key in FACTORS if source.get("{arch}." + key) is not None), 0.0) or 1.0
    named = source.text("{arch}.rope.scaling.type", "linear" if factor != 1 else "none")    # as llama.cpp takes it
    if named not in SCALING:
        raise NexusError(
            f"'{source.path}': the metadata '{source.architecture}.rope.scaling.type' is '{named[:40]}'; allowed: "
            f"{', '.join(SCALING)}. Convert the model again."
        )
    kind = "longrope" if LONG in source.places else SCALING[named]      # Phi 3 files have factors and name no type
    if kind is None:
        return {}
    found: dict[str, Any] = {"rope_type": kind}
    if (original := whole(source, "rope.scaling.original_context_length")) > 0:
        found["original_max_position_embeddings"] = original
    if kind == "longrope":
        return found | _long(source)
    found["factor"] = factor
    found |= {name: real(source, key, 0.0) for key, name in YARN.items() if source.get("{arch}." + key) is not None}
    return found


def _long(source: Source) -> dict[str, Any]:
    if LONG not in source.places or SHORT not in source.places:
        raise NexusError(f"'{source.path}' scales its positions by longrope and lacks {LONG} or {SHORT}.")
    context, original = whole(source, "context_length"), whole(source, "rope.scaling.original_context_length")
    found: dict[str, Any] = {"long_factor": factors(source, LONG), "short_factor": factors(source, SHORT)}
    if original and context:
        found["factor"] = context / original
    if source.get("{arch}.rope.scaling.attn_factor") is not None:
        found["attention_factor"] = real(source, "rope.scaling.attn_factor", 1.0)
    return found


def divided(source: Source, module: nn.Module) -> dict[str, Tensor]:
    """Buffers of rotary frequencies, divided as the file says: Llama 3 and whatever scales as it does (EXAONE 4,
    Llama 4, Step 3.5). Divisors beyond a buffer's frequencies are one. NexusError where no buffer takes them."""
    divisors = torch.tensor(factors(source, PER_FREQUENCY)) if PER_FREQUENCY in source.places else torch.ones(0)
    if bool((divisors == 1).all()):
        return {}
    found = {}
    for name, buffer in module.named_buffers():
        held = buffer.numel()
        fits = held <= divisors.numel() and bool((divisors[held:] == 1).all())
        if fits and name.rpartition(".")[2] in FREQUENCIES:
            found[name] = buffer / divisors[:held].reshape(buffer.shape)
    if not found:
        raise NexusError(
            f"'{source.path}' divides {divisors.numel()} rotary frequencies ({PER_FREQUENCY}), and "
            f"{type(module).__name__} has no such frequencies. Fetch or convert it again."
        )
    return found


def factors(source: Source, name: str) -> list[float]:
    """A small tensor of float32 factors."""
    if source.tensors[name].kind != 0:
        raise NexusError(f"'{source.path}': the tensor '{name}' should be F32.")
    found: list[float] = source.tensor(name).reshape(-1).view("<f4").tolist()
    return found


def _sections(source: Source) -> dict[str, Any]:
    """M-RoPE: how many frequencies turn with time, height and width."""
    found = source.get("{arch}.rope.dimension_sections")
    if not isinstance(found, list) or len(found) < 3:
        return {}
    return {"mrope_section": [int(each) for each in (found if len(found) > 3 and found[3] else found[:3])]}
