"""Attention over the keys that an index chooses, without hyper-connections (those are in `hyper`).

Sources: `conversion/{deepseek,dots3,minimax}.py` of llama.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..fields import real, whole
from ..rules import Rule
from ..source import Source
from ..values import Target, joined, minus_one, same
from .experts import deepseek_v3
from .newer import sparse_behind

INDEX = (
    Rule(r"indexer\.wq_b\.weight$", ("blk.{n}.indexer.attn_q_b.weight",)),
    Rule(r"indexer\.wk\.weight$", ("blk.{n}.indexer.attn_k.weight",)),
    Rule(r"indexer\.k_norm\.weight$", ("blk.{n}.indexer.k_norm.weight",)),
    Rule(r"indexer\.k_norm\.bias$", ("blk.{n}.indexer.k_norm.bias",)),
    Rule(r"indexer\.weights_proj\.weight$", ("blk.{n}.indexer.proj.weight",)),
)
"""DeepSeek's index over keys."""


def rescaled(rank: str) -> Any:
    """Norms of latent vectors with the root of width / rank in them, which the class multiplies by itself; `rank` names
    the field."""

    def undo(tensors: Sequence[Tensor], target: Target) -> Tensor:
        width = per_layer_field(target, rank)
        return same(tensors, target) / math.sqrt(target.config.hidden_size / width)

    return undo


def per_layer_field(target: Target, name: str) -> int:
    """A field of the target's layer, where layers may have their own."""
    return int(getattr(target.config.per_layer_config[target.layer], name))


DOTS3 = (
    Rule(r"k_rope_only_layernorm\.weight$", ("blk.{n}.attn_k_norm.weight",)),
    Rule(r"\.g_proj\.weight$", ("blk.{n}.attn_gate.weight",)),
    Rule(r"q_a_layernorm\.weight$", ("blk.{n}.attn_q_a_norm.weight",), rescaled("q_lora_rank")),
    Rule(r"kv_a_layernorm\.weight$", ("blk.{n}.attn_kv_a_norm.weight",), rescaled("kv_lora_rank")),
)
MINIMAX_M3 = (
    Rule(r"indexer\.([qk])_norm\.weight$", ("blk.{n}.indexer.{0}_norm.weight",), minus_one),
    Rule(r"indexer\.([qk])_proj\.weight$", ("blk.{n}.indexer.{0}_proj.weight",)),
    Rule(r"norm\.weight$", (), minus_one),
    Rule(
        r"shared_experts\.gate_up_proj\.weight$", ("blk.{n}.ffn_gate_shexp.weight", "blk.{n}.ffn_up_shexp.weight"),
        joined,
    ),
    Rule(r"mlp\.gate_up_proj\.weight$", ("blk.{n}.ffn_gate.weight", "blk.{n}.ffn_up.weight"), joined),
    Rule(r"mlp\.gate\.weight$", ("blk.{n}.ffn_gate_inp.weight",)),
    Rule(r"mlp\.down_proj\.weight$", ("blk.{n}.ffn_down.weight",)),
    Rule(r"shared_experts\.down_proj\.weight$", ("blk.{n}.ffn_down_shexp.weight",)),
)  # fmt: skip


def dots3(source: Source, fields: dict[str, Any]) -> None:
    """Local layers have their own heads and ranks; the others choose their keys by an index."""
    deepseek_v3(source, fields)
    sparse_behind(source, fields)
    kinds = [
        "sliding_attention" if each else "indexed_attention"
        for each in source.get("{arch}.attention.sliding_window_pattern") or []
    ]
    heads = source.get("{arch}.attention.head_count")
    by_kind = dict(zip(kinds, heads if isinstance(heads, list) else [heads] * len(kinds), strict=False))
    local, rope = by_kind.get("sliding_attention", 0), whole(source, "rope.dimension_count")
    key, value = whole(source, "attention.key_length_mla_swa"), whole(source, "attention.value_length_mla_swa")
    fields["layer_types"] = kinds
    fields["num_attention_heads"] = fields["num_key_value_heads"] = by_kind.get("indexed_attention", local)
    fields |= {
        "head_dim": fields["qk_nope_head_dim"] + rope, "v_head_dim": whole(source, "attention.value_length_mla"),
        "swa_num_attention_heads": local, "swa_num_key_value_heads": local, "swa_head_dim": key,
        "swa_qk_rope_head_dim": rope, "swa_qk_nope_head_dim": key - rope, "swa_v_head_dim": value,
        "swa_q_lora_rank": fields["q_lora_rank"], "swa_kv_lora_rank": whole(source, "attention.kv_lora_rank_swa"),
    }  # fmt: skip
    fields["rope_parameters"] = {
        "indexed_attention": {"rope_type": "default", "rope_theta": real(source, "rope.freq_base", 10000.0)},
        "sliding_attention": {"rope_type": "default", "rope_theta": real(source, "rope.freq_base_swa", 10000.0)},
    }
    if shared := next((info for name, info in source.tensors.items() if name.endswith("ffn_up_shexp.weight")), None):
        fields["shared_experts_intermediate_size"] = shared.shape[0] // max(1, whole(source, "expert_shared_count", 1))


def minimax_m3(source: Source, fields: dict[str, Any]) -> None:
    """Layers with an index choose blocks of keys; `intermediate_size` is an expert's."""
    sparse_behind(source, fields)
    fields["dense_intermediate_size"] = whole(source, "feed_forward_length")
    fields["intermediate_size"] = whole(source, "expert_feed_forward_length")
    fields["rotary_dim"] = whole(source, "rope.dimension_count") or fields.get("head_dim", 128)
    fields["layer_types"] = [
        "minimax_m3_sparse" if f"blk.{layer}.indexer.q_proj.weight" in source.places else "full_attention"
        for layer in range(source.whole("{arch}.block_count"))
    ]
    fields["index_topk_blocks"] = whole(source, "attention.indexer.top_k", 16)
    fields["index_block_size"] = whole(source, "attention.indexer.block_size", 128)
    fields["index_local_blocks"] = whole(source, "attention.indexer.local_blocks", 1)
    if shared := next((info for name, info in source.tensors.items() if name.endswith("ffn_up_shexp.weight")), None):
        fields["shared_intermediate_size"] = shared.shape[0]
