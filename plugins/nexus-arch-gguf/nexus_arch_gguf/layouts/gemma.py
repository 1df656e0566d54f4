"""The Gemma family."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

from ..fields import head_width, whole
from ..rotary import PER_FREQUENCY, factors
from ..rules import Rule
from ..source import Source
from ..values import minus_one, stacked_row
from .decoders import every

PLUS_ONE = (Rule(r"norm\d?\.weight$", (), minus_one),)
"""Norms that multiply by 1 + weight: the file holds the sum. Gemma 3n and 4 store plain weights."""
NESTED = (
    Rule(r"altup_projections\.\d+\.weight$", ("altup_proj.weight",), stacked_row),
    Rule(r"altup_unembed_projections\.\d+\.weight$", ("altup_unembd_proj.weight",), stacked_row),
    Rule(r"altup\.correct_output_scale$", ("blk.{n}.altup_correct_scale.weight",)),
    Rule(r"router\.scale$", ("blk.{n}.ffn_gate_inp.scale",)),
    Rule(r"per_expert_scale$", ("blk.{n}.ffn_down_exps.scale",)),
    Rule(r"layer_scalar$", ("blk.{n}.layer_output_scale.weight",)),
)
WIDE = 46, 62
"""Layers of Gemma 2 and 3 with 27 B parameters, which scale queries by width / heads instead of by head."""


def gemma2(source: Source, fields: dict[str, Any]) -> None:
    """Local and global layers take turns."""
    _scale(source, fields)
    every(source, fields, 2)


def gemma3(source: Source, fields: dict[str, Any]) -> None:
    """Five local layers, one global; local ones turn with base 10000."""
    _scale(source, fields)
    every(source, fields, 6)
    if not whole(source, "attention.sliding_window"):           # llama.cpp: no window, all layers are global
        fields["layer_types"] = ["full_attention"] * source.whole("{arch}.block_count")


def gemma3_embedding(source: Source, fields: dict[str, Any]) -> None:
    """An encoder: every token sees all. The class halves the window and adds one; the file holds it unhalved."""
    gemma3(source, fields)
    fields["use_bidirectional_attention"] = True


def gemma3n(source: Source, fields: dict[str, Any]) -> None:
    """Alternating predictions, per-layer embeddings, sparse activations (by their quantile)."""
    fields["vocab_size_per_layer_input"] = source.tensors["per_layer_token_embd.weight"].shape[0]
    fields["laurel_rank"] = source.tensors["blk.0.laurel_l.weight"].shape[0]
    scale = source.get("{arch}.activation_sparsity_scale")
    if isinstance(scale, list):
        fields["activation_sparsity_pattern"] = [_quantile(float(each)) for each in scale]


def gemma4(source: Source, fields: dict[str, Any]) -> None:
    """Two widths of heads: the metadata names the global ones, and apart the local ones. Global layers turn a share of
    each head: the file holds divisors that are one for what turns, and huge for what does not."""
    fields["global_head_dim"] = whole(source, "attention.key_length")
    fields["head_dim"] = whole(source, "attention.key_length_swa", fields["global_head_dim"])
    if "per_layer_token_embd.weight" in source.places:
        fields["vocab_size_per_layer_input"] = source.tensors["per_layer_token_embd.weight"].shape[0]
    lengths = source.get("{arch}.feed_forward_length")
    if isinstance(lengths, list) and len(set(lengths)) > 1:
        fields["intermediate_size"], fields["use_double_wide_mlp"] = min(lengths), True
    heads = source.get("{arch}.attention.head_count_kv")
    if isinstance(heads, list):
        by_kind = dict(zip(fields["layer_types"], heads, strict=False))
        fields["num_key_value_heads"] = by_kind.get("sliding_attention", heads[0])
        fields["num_global_key_value_heads"] = by_kind.get("full_attention", heads[-1])
    if shares := _shares_values(source, fields):
        fields.setdefault("num_global_key_value_heads", fields["num_key_value_heads"])
    fields["attention_k_eq_v"] = shares
    fields["enable_moe_block"] = "blk.0.ffn_gate_inp.weight" in source.places
    if PER_FREQUENCY in source.places:
        divisors = factors(source, PER_FREQUENCY)
        turning = {"rope_type": "proportional", "partial_rotary_factor": divisors.count(1.0) / len(divisors)}
        fields["rope_parameters"]["full_attention"] |= turning


def _shares_values(source: Source, fields: dict[str, Any]) -> bool:
    full = [layer for layer, kind in enumerate(fields["layer_types"]) if kind == "full_attention"]
    return bool(full) and f"blk.{full[0]}.attn_v.weight" not in source.places


def _quantile(scale: float) -> float:
    """The share whose normal quantile was written; 0 stands for minus infinity."""
    return 0.0 if scale < -1e30 else round(NormalDist().cdf(scale), 6)


def _scale(source: Source, fields: dict[str, Any]) -> None:
    """llama.cpp knows the two exceptions by their number of layers."""
    heads = whole(source, "attention.head_count")
    wide = source.whole("{arch}.block_count") in WIDE and heads
    fields["query_pre_attn_scalar"] = whole(source, "embedding_length") // heads if wide else head_width(source)
