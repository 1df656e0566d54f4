"""Metadata of the architectures that gguf 0.19 does not name (`EXTRA` of `metadata`, goes on)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .keys import delta, experts, granite, latent, leading, local, share, turning, width


def granite_swa(c: Any) -> dict[str, Any]:
    """Granite's multipliers, local layers, and layers without positions."""
    return granite(c) | local(c) | {"attention.rope_pattern": [base > 0 for base in c.layer_rope_theta]}


def laguna(c: Any) -> dict[str, Any]:
    """Heads by layer; no pattern of windows."""
    full = c.rope_parameters["full_attention"]["partial_rotary_factor"]
    return leading(c) | {
        "attention.head_count": c.num_attention_heads_per_layer, "attention.sliding_window": c.sliding_window,
        "rope.dimension_count": int(c.head_dim * full), "rope.dimension_count_swa": c.head_dim,
        "expert_gating_func": 2, "expert_weights_norm": True, "expert_weights_scale": c.moe_routed_scaling_factor,
    }  # fmt: skip


def cohere2_moe(c: Any) -> dict[str, Any]:
    """Two inner widths."""
    return local(c) | leading(c) | {
        "feed_forward_length": c.prefix_dense_intermediate_size, "logit_scale": c.logit_scale, "expert_gating_func": 2,
        "expert_feed_forward_length": c.intermediate_size, "expert_shared_count": c.num_shared_experts,
        "expert_shared_feed_forward_length": c.intermediate_size * c.num_shared_experts,
        "rope.dimension_count": c.head_dim,
    }  # fmt: skip


def hrm(c: Any) -> dict[str, Any]:
    """Every pass of every layer counts as a block."""
    return {
        "block_count": c.num_layers_per_stack * c.H_cycles * (c.L_cycles + 1), "embedding_scale": c.embedding_scale,
        "hrm.layers_per_stack": c.num_layers_per_stack, "hrm.h_cycles": c.H_cycles, "hrm.l_cycles": c.L_cycles,
        "hrm.prefix_lm": c.prefix_lm,
    }  # fmt: skip


def muse(c: Any) -> dict[str, Any]:
    """A scale and a cap of the scores."""
    return local(c) | {
        "final_logit_softcapping": c.final_logit_softcapping, "logit_scale": c.output_multiplier,
    }  # fmt: skip


def dots3(c: Any) -> dict[str, Any]:
    """Latent attention twice: of layers with an index, and of local ones."""
    near = c.per_layer_config[c.layer_types.index("sliding_attention")]
    local_layers = [kind == "sliding_attention" for kind in c.layer_types]
    key = near.qk_nope_head_dim + near.qk_rope_head_dim
    return latent(c) | local(c) | {
        "attention.head_count": [near.num_attention_heads if each else c.num_attention_heads for each in local_layers],
        "attention.kv_lora_rank_swa": near.kv_lora_rank, "attention.key_length_mla_swa": key,
        "attention.value_length_mla_swa": near.v_head_dim, "attention.value_length_swa": near.kv_lora_rank,
        "attention.key_length_swa": near.kv_lora_rank + near.qk_rope_head_dim, "expert_gating_func": 2,
        "attention.indexer.types": [not each for each in local_layers],
        "rope.freq_base": c.rope_parameters["indexed_attention"]["rope_theta"],
    }  # fmt: skip


def minimax_m3(c: Any) -> dict[str, Any]:
    """Blocks of keys by an index."""
    return leading(c) | turning()(c) | {
        "feed_forward_length": c.dense_intermediate_size, "expert_feed_forward_length": c.intermediate_size,
        "expert_shared_count": 1, "expert_weights_norm": True, "expert_gating_func": 2,
        "attention.indexer.head_count": c.index_n_heads, "attention.indexer.key_length": c.index_head_dim,
        "attention.indexer.top_k": c.index_topk_blocks, "attention.indexer.block_size": c.index_block_size,
        "attention.indexer.local_blocks": c.index_local_blocks, "expert_shared_feed_forward_length": None,
    }  # fmt: skip


def streams(c: Any) -> dict[str, Any]:
    """Several streams instead of one residual, and a clamp."""
    return {
        "hyper_connection.count": c.hc_mult, "hyper_connection.epsilon": c.hc_eps,
        "hyper_connection.sinkhorn_iterations": getattr(c, "hc_sinkhorn_iters", None),
        "hyper_connection.magnitude": getattr(c, "hc_magnitude", None),
        "swiglu_clamp_exp": [c.swiglu_limit] * c.num_hidden_layers,
    }  # fmt: skip


def glm5(c: Any) -> dict[str, Any]:
    """Delta attention and pooled keys."""
    return latent(c) | streams(c) | {
        "attention.head_count_kv": [0 if kind == "linear_attention" else 1 for kind in c.layer_types],
        "ssm.conv_kernel": c.linear_conv_kernel_dim, "kda.head_dim": c.linear_head_dim,
        "kda.gate_lower_bound": c.linear_lower_bound, "attention.indexer.kpool": c.index_kpool,
        "attention.indexer.kpool_select_tail": c.index_kpool_always_select_tail,
        "attention.indexer.types": [kind == "full" for kind in c.indexer_types],
    }  # fmt: skip


def deepseek4(c: Any) -> dict[str, Any]:
    """Keys compressed by a ratio of each layer."""
    return experts(c) | streams(c) | {
        "rope.dimension_count": c.qk_rope_head_dim, "rope.freq_base": c.rope_theta,
        "attention.q_lora_rank": c.q_lora_rank, "attention.sliding_window": c.sliding_window,
        "attention.indexer.head_count": c.index_n_heads, "attention.indexer.key_length": c.index_head_dim,
        "attention.indexer.top_k": c.index_topk, "attention.output_group_count": c.o_groups,
        "attention.output_lora_rank": c.o_lora_rank, "expert_gating_func": 4, "feed_forward_length": None,
        "attention.compress_ratios": [c.compress_rates.get(kind, 0) for kind in c.layer_types],
        "attention.compress_rope_freq_base": c.compress_rope_theta,
        "hash_layer_count": c.mlp_layer_types.count("hash_moe"),
    }  # fmt: skip


def qwen4(c: Any) -> dict[str, Any]:
    """Delta nets over streams, an index over compressed keys."""
    ratios = [c.indexer_compress_ratio if kind == "indexed_attention" else 0 for kind in c.layer_types]
    return delta(c) | {
        "rope.dimension_count": share(c), "hyper_connection.count": c.hc_count,
        "hyper_connection.low_rank": c.hc_lowrank, "attention.indexer.head_count": c.indexer_n_heads,
        "attention.indexer.key_length": c.indexer_head_dim, "attention.indexer.top_k": c.indexer_budget,
        "attention.compress_ratios": ratios, "full_attention_interval": 2, "expert_weights_norm": None,
    }  # fmt: skip


def ngrams(c: Any) -> dict[str, Any]:
    """Hashed n-grams in one layer; their numbers are in `extras` of `writing`."""
    return {
        "ple.layers": [each - 1 for each in c.ple_layer_ids], "ple.ngram_size": c.ngram_size,
        "ple.heads_per_ngram": c.heads_per_ngram, "ple.conv_kernel": c.ple_conv_kernel_size,
        "ple.eos_token_id": c.eos_token_id,
        "embedding_length_per_layer_input": c.ple_embed_dim // (c.heads_per_ngram * (c.ngram_size - 1)),
    }  # fmt: skip


def dflash(c: Any) -> dict[str, Any]:
    """The layers whose inputs it reads."""
    return local(c) | {"block_size": c.block_size, "target_layers": [each + 1 for each in c.target_layer_ids]}


def tower(c: Any) -> dict[str, Any]:
    """A vision tower: nothing of the text's general keys."""
    general = ("block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
               "attention.layer_norm_epsilon", "attention.key_length")  # fmt: skip
    return dict.fromkeys(general) | {
        "has_vision_encoder": True, "use_gelu": c.hidden_act == "gelu_pytorch_tanh", "use_silu": c.hidden_act == "silu",
        "projector_type": {"siglip_vision_model": "gemma3", "pixtral": "pixtral"}.get(c.model_type, "mlp"),
        "vision.image_size": c.image_size,
        "vision.patch_size": c.patch_size, "vision.embedding_length": c.hidden_size,
        "vision.feed_forward_length": c.intermediate_size, "vision.block_count": c.num_hidden_layers,
        "vision.attention.head_count": c.num_attention_heads, "vision.image_mean": [0.5, 0.4, 0.3],
        "vision.attention.layer_norm_epsilon": getattr(c, "layer_norm_eps", 1e-5), "vision.image_std": [0.3, 0.2, 0.1],
    }  # fmt: skip


NEWER: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "clip": tower,
    "cohere2moe": cohere2_moe, "deepseek32": latent, "deepseek4": deepseek4, "dflash": dflash, "dots3note": dots3,
    "glm5-next": glm5, "granite_swa": granite_swa, "hrm_text": hrm, "hy_v4": lambda c: latent(c) | streams(c) | {
        "expert_gating_func": 2, "attention.indexer.types": [kind == "full" for kind in c.indexer_types]},
    "hy_v3": lambda c: experts(c) | {"expert_weights_scale": c.router_scaling_factor, "expert_weights_norm": True,
        "expert_shared_feed_forward_length": c.moe_intermediate_size, "expert_gating_func": 2,
        "expert_shared_count": None},
    "deepseek2-ocr": lambda c: leading(c) | {"rope.dimension_count": width(c), "expert_weights_norm": None},
    "jina-bert-v3": lambda c: {"attention.causal": False, "feed_forward_length": c.intermediate_size},
    "laguna": laguna, "mellum": lambda c: local(c) | experts(c) | {"expert_weights_norm": None},
    "minimax-m3": minimax_m3, "muse-glimmer": muse,
    "qwen4exp": qwen4, "qwen4_exp-ple": ngrams,
}  # fmt: skip
"""By architecture, then by row."""
