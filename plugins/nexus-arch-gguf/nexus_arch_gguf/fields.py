"""From GGUF's metadata keys to the fields of a configuration, for all architectures.

The keys are those that llama.cpp's converter writes (gguf's `Keys`); a configuration takes the first name that it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from nexus_specs import NexusError
from transformers import PreTrainedConfig

from .source import Source

WHOLE: Mapping[str, tuple[str, ...]] = {
    "context_length": ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
    "embedding_length": ("hidden_size", "n_embd", "d_model", "dim"),
    "block_count": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "feed_forward_length": ("intermediate_size", "n_inner", "d_ff", "hidden_dim", "ffn_hidden_size"),
    "attention.head_count": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "attention.head_count_kv": ("num_key_value_heads", "num_kv_heads"),
    "attention.key_length": ("head_dim", "d_kv"),
    "attention.sliding_window": ("sliding_window",),
    "attention.q_lora_rank": ("q_lora_rank",),
    "attention.kv_lora_rank": ("kv_lora_rank",),
    "attention.relative_buckets_count": ("relative_attention_num_buckets",),
    "attention.indexer.head_count": ("index_n_heads",),
    "attention.indexer.key_length": ("index_head_dim",),
    "attention.indexer.top_k": ("index_topk",),
    "attention.shared_kv_layers": ("num_kv_shared_layers",),
    "expert_count": ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
    "expert_used_count": ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts"),
    "expert_feed_forward_length": ("moe_intermediate_size", "expert_intermediate_size"),
    "expert_shared_feed_forward_length": (
        "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size",
        "share_expert_dim", "shared_experts_intermediate_size",
    ),
    "expert_shared_count": ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"),
    "expert_group_count": ("n_group",),
    "expert_group_used_count": ("topk_group",),
    "leading_dense_block_count": ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"),
    "interleave_moe_layer_step": ("interleave_moe_layer_step", "moe_layer_interval"),
    "ssm.conv_kernel": ("conv_kernel", "mamba_d_conv", "linear_conv_kernel_dim", "short_conv_kernel_size"),
    "ssm.state_size": ("state_size", "mamba_d_state", "ssm_state_size", "linear_key_head_dim"),
    "ssm.group_count": ("n_groups", "mamba_n_groups", "linear_num_key_heads"),
    "shortconv.l_cache": ("conv_L_cache",),
    "altup.active_idx": ("altup_active_idx",),
    "altup.num_inputs": ("altup_num_inputs",),
    "embedding_length_per_layer_input": ("hidden_size_per_layer_input",),
    "decoder_block_count": ("num_decoder_layers",),
    "decoder_start_token_id": ("decoder_start_token_id",),
}
REAL: Mapping[str, tuple[str, ...]] = {
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps", "layer_norm_epsilon", "layer_norm_eps"),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"),
    "attention.scale": ("attention_multiplier",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "embedding_scale": ("embedding_multiplier",),
    "residual_scale": ("residual_multiplier",),
    "logit_scale": ("logit_scale", "logits_scaling", "output_multiplier"),
    "expert_weights_scale": (
        "routed_scaling_factor", "router_scaling_factor", "route_scale", "moe_routed_scaling_factor",
    ),
}
FLAGS: Mapping[str, tuple[str, ...]] = {
    "expert_weights_norm": ("norm_topk_prob", "route_norm", "moe_router_norm"),
    "use_parallel_residual": ("use_parallel_residual",),
    "swin_norm": ("swin_norm",),
}
SPECIAL: Mapping[str, str] = {
    "tokenizer.ggml.bos_token_id": "bos_token_id",
    "tokenizer.ggml.eos_token_id": "eos_token_id",
    "tokenizer.ggml.padding_token_id": "pad_token_id",
}
LARGEST: Mapping[str, int] = {
    **dict.fromkeys((
        "block_count", "decoder_block_count", "leading_dense_block_count", "hash_layer_count", "nextn_predict_layers",
        "attention.shared_kv_layers",
    ), 512),
    **dict.fromkeys(("altup.num_inputs", "hyper_connection.count"), 64),
    **dict.fromkeys((
        "context_length", "attention.sliding_window", "attention.indexer.top_k", "rope.scaling.original_context_length",
    ), 1 << 24),
}  # fmt: skip
"""The largest setting that is believed: of layers, of streams beside the states, of positions."""
BELIEVED = 1 << 14
"""The largest width, count or rank that is believed where no dimension of any tensor is as large."""

SOFTMAX, SIGMOID = 1, 2
"""How experts are scored, `llama_expert_gating_func_type`."""


def values(source: Source, known: PreTrainedConfig) -> dict[str, Any]:
    """The fields that metadata gives, by the names that a configuration (an example of its class) has."""
    found: dict[str, Any] = {}
    for keys, read in ((WHOLE, _whole), (REAL, _real), (FLAGS, _flag)):
        for key, names in keys.items():
            if (value := source.get("{arch}." + key)) is None:
                continue
            if name := next((name for name in names if settable(known, name)), None):
                found[known.attribute_map.get(name, name)] = read(source, key, value)
    for key, name in SPECIAL.items():
        if isinstance(value := source.get(key), int):
            found[name] = value
    return found


def whole(source: Source, key: str, default: int = 0) -> int:
    """A whole number of this architecture, within bounds."""
    found = _whole(source, key, source.get("{arch}." + key, default))
    return int(max(found) if isinstance(found, list) else found)


def real(source: Source, key: str, default: float) -> float:
    """A real number of this architecture."""
    return _real(source, key, source.get("{arch}." + key, default))


def head_width(source: Source) -> int:
    """Columns of one attention head: as metadata says, else the rows of the queries, else the width shared out."""
    if isinstance(said := source.get("{arch}.attention.key_length"), int):
        return said
    heads = whole(source, "attention.head_count")
    queries = source.tensors.get("blk.0.attn_q.weight")
    width = queries.shape[0] if queries is not None else source.whole("{arch}.embedding_length", 0)
    return int(width // heads) if heads else 0


def settable(config: PreTrainedConfig, name: str) -> bool:
    """Whether a configuration has a field that can be given."""
    fixed = getattr(type(config), name, None)
    return hasattr(config, name) and not (isinstance(fixed, property) and fixed.fset is None)


def _whole(source: Source, key: str, value: Any) -> Any:
    each = value if isinstance(value, list) else [value]
    limit = LARGEST.get(key) or max(BELIEVED, source.longest)
    if not each or any(isinstance(one, bool) or not isinstance(one, int) or not 0 <= one <= limit for one in each):
        raise _wrong(source, key, value, f"a whole number from 0 to {limit}")
    return each[0] if len(set(each)) == 1 else each


def _real(source: Source, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _wrong(source, key, value, "a number")
    if value < 0 and key.endswith("epsilon"):
        raise _wrong(source, key, value, "a number, zero or more")
    if value <= 0 and "freq_base" in key:
        raise _wrong(source, key, value, "a number above zero")
    return round_to_short(float(value))


def _flag(source: Source, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(source, key, value, "true or false")
    return value


def round_to_short(value: float) -> float:
    """The shortest decimal that a float32 stands for: 1e-6 is stored as 9.999999974752427e-07."""
    with np.errstate(over="ignore"):
        return float(str(np.float32(value)))


def _wrong(source: Source, key: str, value: Any, allowed: str) -> NexusError:
    shown = repr(value)[:60]
    return NexusError(
        f"'{source.path}': the metadata '{source.architecture}.{key}' is {shown}; allowed: {allowed}. "
        "The file is damaged: fetch or convert it again."
    )
