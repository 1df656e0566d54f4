"""What a file holds beside weights and settings: divisors of rotary frequencies, numbers of activations and hashes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gguf
import numpy as np
import torch
from transformers import PreTrainedModel


def extras(writer: gguf.GGUFWriter, row: str, model: PreTrainedModel) -> None:
    """What is computed from the configuration, then what a row adds."""
    text = model.config.get_text_config()
    said = getattr(text, "rope_parameters", None) or {}
    if said.get("rope_type") == "llama3":
        head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        plain = 1.0 / (said["rope_theta"] ** (torch.arange(0, head, 2, dtype=torch.float32) / head))
        writer.add_tensor("rope_freqs.weight", llama3(plain, said).numpy())
    if said.get("rope_type") == "longrope":
        for key in ("long", "short"):
            writer.add_tensor(f"rope_factors_{key}.weight", np.array(said[f"{key}_factor"], dtype=np.float32))
    if row in ROWS:
        ROWS[row](writer, model, text)


def gemma4(writer: gguf.GGUFWriter, _: PreTrainedModel, text: Any) -> None:
    """Divisors that are one for what turns, and huge for what does not."""
    full = text.rope_parameters["full_attention"]
    half = text.per_layer_config[text.layer_types.index("full_attention")].head_dim // 2
    turning = int(half * full["partial_rotary_factor"])
    divisors = [1.0] * turning + [1e30] * (half - turning)
    writer.add_tensor("rope_freqs.weight", np.array(divisors, dtype=np.float32))


def muse(writer: gguf.GGUFWriter, _: PreTrainedModel, text: Any) -> None:
    """What multiplies queries, as their norm's weight."""
    for layer in range(text.num_hidden_layers):
        for key, value in (("q", text.qk_scale_factor), ("k", 1.0)):
            scale = np.full(text.head_dim, value, dtype=np.float32)
            writer.add_tensor(f"blk.{layer}.attn_{key}_norm.weight", scale)


def hashes(writer: gguf.GGUFWriter, model: PreTrainedModel, _: Any) -> None:
    """The numbers that n-grams are hashed with."""
    hashed = next(each for name, each in model.named_modules() if name.endswith("ple_embedding"))
    for key, name in (("layer_multipliers", "layer_multipliers"), ("head_offsets", "ngram_heads_offsets"),
                      ("head_vocab_sizes", "ngram_heads_vocab_sizes")):  # fmt: skip
        values, kind = getattr(hashed, name).tolist(), gguf.GGUFValueType
        writer.add_key_value(f"qwen4exp.ple.{key}", values, kind.ARRAY, kind.UINT64)


def apertus(writer: gguf.GGUFWriter, model: Any, _: Any) -> None:
    """Four numbers of the activation of each layer."""
    for key in ("alpha_p", "alpha_n", "beta", "eps"):
        writer.add_array(f"xielu.{key}", [float(getattr(each.mlp.act_fn, key).detach()) for each in model.model.layers])


ROWS: Mapping[str, Callable[[gguf.GGUFWriter, Any, Any], None]] = {
    "gemma4": gemma4, "gemma4_moe": gemma4, "muse_glimmer": muse, "qwen4_exp-ple": hashes, "apertus": apertus,
    "muse_glimmer_assistant": lambda writer, _, text: writer.add_mask_token_id(text.mask_token_id),
}  # fmt: skip


def llama3(frequencies: torch.Tensor, said: dict[str, float]) -> torch.Tensor:
    """Divisors of each frequency (`generate_extra_tensors` of llama.cpp's `LlamaModel`)."""
    old = said["original_max_position_embeddings"]
    low, high = old / said["low_freq_factor"], old / said["high_freq_factor"]
    found = []
    for frequency in frequencies:
        length = 2 * torch.pi / frequency
        smooth = (old / length - said["low_freq_factor"]) / (said["high_freq_factor"] - said["low_freq_factor"])
        middle = 1 / ((1 - smooth) / said["factor"] + smooth)
        found.append(1.0 if length < high else said["factor"] if length > low else float(middle))
    return torch.tensor(found, dtype=torch.float32)
