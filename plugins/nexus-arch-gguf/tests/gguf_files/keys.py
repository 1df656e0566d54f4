"""Groups of GGUF's metadata keys that several architectures share, from a configuration.

Written after `TextModel.set_gguf_parameters` and its overrides in llama.cpp's `conversion/`, not after the loader.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any


def first(config: Any, names: tuple[str, ...]) -> Any:
    """The first of these fields that is there."""
    return next((value for name in names if (value := getattr(config, name, None)) is not None), None)


def width(config: Any) -> int:
    """Columns of a head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def rope(config: Any) -> dict[str, Any]:
    """Base and scaling."""
    said = getattr(config, "rope_parameters", None) or {}
    full, near = said.get("full_attention", said), said.get("sliding_attention", {})
    found = {"rope.freq_base": full.get("rope_theta"), "rope.freq_base_swa": near.get("rope_theta")}
    if full.get("rope_type") in ("yarn", "linear"):
        found |= {"rope.scaling.type": full["rope_type"], "rope.scaling.factor": full["factor"]}
    if full.get("rope_type") == "yarn":
        found["rope.scaling.original_context_length"] = full["original_max_position_embeddings"]
        found |= {f"rope.scaling.yarn_{key}": full.get(key) for key in ("beta_fast", "beta_slow")}
    if (scale := full.get("mscale_all_dim")) is not None:
        found["rope.scaling.yarn_log_multiplier"] = 0.1 * scale
    if full.get("rope_type") == "longrope":
        found["rope.scaling.attn_factor"] = attention_factor(config, full)
    if "mrope_section" in said:
        found["rope.dimension_sections"] = [*said["mrope_section"], 0, 0][:4]
    return found


def attention_factor(config: Any, said: Mapping[str, Any]) -> float:
    """What longrope multiplies attention with (`Phi3MiniModel.generate_extra_tensors`)."""
    old = said["original_max_position_embeddings"]
    scale = config.max_position_embeddings / old
    return 1.0 if scale <= 1 else math.sqrt(1 + math.log(scale) / math.log(old))


def share(config: Any, default: float = 1.0) -> int:
    """Columns of a head that turn."""
    said = getattr(config, "rope_parameters", None) or {}
    return int(width(config) * said.get("full_attention", said).get("partial_rotary_factor", default))


def turning(default: float = 1.0) -> Callable[[Any], dict[str, Any]]:
    """The key for them."""
    return lambda config: {"rope.dimension_count": share(config, default)}


def latent(config: Any) -> dict[str, Any]:
    """Multi-head latent attention as one head of keys; experts behind dense layers."""
    kinds = getattr(config, "mlp_layer_types", None)
    dense = kinds.count("dense") if kinds else getattr(config, "first_k_dense_replace", None)
    return {
        "attention.head_count_kv": 1, "attention.q_lora_rank": config.q_lora_rank,
        "attention.kv_lora_rank": config.kv_lora_rank, "rope.dimension_count": config.qk_rope_head_dim,
        "attention.key_length": config.kv_lora_rank + config.qk_rope_head_dim,
        "attention.value_length": config.kv_lora_rank,
        "attention.key_length_mla": config.qk_nope_head_dim + config.qk_rope_head_dim,
        "attention.value_length_mla": config.v_head_dim,
        "leading_dense_block_count": config.num_hidden_layers if dense is None else dense,
        "expert_feed_forward_length": getattr(config, "moe_intermediate_size", config.intermediate_size),
        "expert_shared_count": getattr(config, "n_shared_experts", 0),
        "expert_weights_scale": getattr(config, "routed_scaling_factor", None),
        "expert_weights_norm": getattr(config, "norm_topk_prob", None) or None,
        "attention.indexer.head_count": getattr(config, "index_n_heads", None),
        "attention.indexer.key_length": getattr(config, "index_head_dim", None),
        "attention.indexer.top_k": getattr(config, "index_topk", None),
    }  # fmt: skip


def local(config: Any) -> dict[str, Any]:
    """Which layers look only so far."""
    kinds = [kind == "sliding_attention" for kind in config.layer_types]
    return {"attention.sliding_window": config.sliding_window, "attention.sliding_window_pattern": kinds}


def window(config: Any) -> dict[str, Any]:
    """How far, without saying which."""
    return {"attention.sliding_window": config.sliding_window}


def experts(config: Any) -> dict[str, Any]:
    """Widths and scales of experts."""
    shared = first(config, ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"))
    scale = first(config, ("routed_scaling_factor", "route_scale", "moe_router_scaling_factor"))
    return {
        "expert_feed_forward_length": getattr(config, "moe_intermediate_size", None),
        "expert_shared_feed_forward_length": first(
            config, ("shared_expert_intermediate_size", "shared_intermediate_size", "share_expert_dim")
        ),
        "expert_shared_count": shared, "expert_weights_scale": scale,
        "expert_weights_norm": first(config, ("norm_topk_prob", "route_norm")),
    }  # fmt: skip


def leading(config: Any) -> dict[str, Any]:
    """Experts behind dense layers."""
    kinds = getattr(config, "mlp_layer_types", None)
    names = ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")
    return experts(config) | {"leading_dense_block_count": kinds.count("dense") if kinds else first(config, names)}


def granite(config: Any) -> dict[str, Any]:
    """Multipliers."""
    return {
        "attention.scale": config.attention_multiplier, "embedding_scale": config.embedding_multiplier,
        "residual_scale": config.residual_multiplier, "logit_scale": config.logits_scaling,
        "attention.key_length": None, "attention.value_length": None,
        "expert_shared_feed_forward_length": getattr(config, "shared_intermediate_size", None),
        "rope.dimension_count": share(config),
    }  # fmt: skip


def state(prefix: str) -> Callable[[Any], dict[str, Any]]:
    """Mamba 2 inside another model."""

    def made(config: Any) -> dict[str, Any]:
        heads = getattr(config, f"{prefix}n_heads", None) or getattr(config, "mamba_num_heads", None)
        head = getattr(config, f"{prefix}d_head", None) or getattr(config, "mamba_head_dim", None)
        return {
            "ssm.conv_kernel": first(config, (f"{prefix}d_conv", "conv_kernel")), "ssm.inner_size": heads * head,
            "ssm.state_size": first(config, (f"{prefix}d_state", "ssm_state_size")),
            "ssm.group_count": first(config, (f"{prefix}n_groups", "n_groups")), "ssm.time_step_rank": heads,
        }  # fmt: skip

    return made


def attending(config: Any, *kinds: str) -> dict[str, Any]:
    """Key heads by layer, none where there is no attention."""
    layers = getattr(config, "layers_block_type", None) or config.layer_types
    heads = [config.num_key_value_heads if kind in kinds else 0 for kind in layers]
    return {"attention.head_count_kv": heads}


def delta(config: Any) -> dict[str, Any]:
    """Gated delta nets."""
    return experts(config) | {
        "ssm.conv_kernel": config.linear_conv_kernel_dim, "ssm.state_size": config.linear_key_head_dim,
        "ssm.group_count": config.linear_num_key_heads, "ssm.time_step_rank": config.linear_num_value_heads,
        "ssm.inner_size": config.linear_value_head_dim * config.linear_num_value_heads,
        "full_attention_interval": 4, "rope.dimension_count": share(config, 0.25),
    }  # fmt: skip


def mamba(config: Any) -> dict[str, Any]:
    """The first Mamba."""
    return {
        "context_length": 1 << 20, "feed_forward_length": 0, "attention.head_count": 0,
        "ssm.conv_kernel": config.conv_kernel, "ssm.inner_size": config.intermediate_size,
        "ssm.state_size": config.state_size, "ssm.time_step_rank": config.time_step_rank,
        "attention.layer_norm_rms_epsilon": config.layer_norm_epsilon,
        "attention.layer_norm_epsilon": None, "ssm.dt_b_c_rms": config.model_type == "falcon_mamba",
    }  # fmt: skip


def mamba2(config: Any) -> dict[str, Any]:
    """The second."""
    inner = config.expand * config.hidden_size
    return {
        "context_length": 1 << 20, "feed_forward_length": 0, "attention.head_count": 0, "ssm.inner_size": inner,
        "ssm.conv_kernel": config.conv_kernel, "ssm.state_size": config.state_size,
        "ssm.time_step_rank": config.num_heads, "ssm.group_count": config.n_groups,
        "attention.layer_norm_rms_epsilon": config.layer_norm_epsilon, "attention.layer_norm_epsilon": None,
        "attention.key_length": None, "attention.value_length": None,
    }  # fmt: skip


def gemma3n(config: Any) -> dict[str, Any]:
    """Per-layer embeddings and sparsity."""
    normal = NormalDist()
    sparsity = [normal.inv_cdf(each) if each > 0 else float("-inf") for each in config.activation_sparsity_pattern]
    return local(config) | {
        "altup.active_idx": config.altup_active_idx, "altup.num_inputs": config.altup_num_inputs,
        "embedding_length_per_layer_input": config.hidden_size_per_layer_input,
        "attention.shared_kv_layers": config.num_kv_shared_layers, "activation_sparsity_scale": sparsity,
        "feed_forward_length": config.intermediate_size, "final_logit_softcapping": config.final_logit_softcapping,
    }  # fmt: skip


def gemma4(config: Any) -> dict[str, Any]:
    """Two widths of heads."""
    wide = config.per_layer_config[config.layer_types.index("full_attention")].head_dim
    return local(config) | {
        "attention.shared_kv_layers": config.num_kv_shared_layers,
        "embedding_length_per_layer_input": config.hidden_size_per_layer_input,
        "attention.key_length": wide, "attention.value_length": wide, "rope.dimension_count": wide,
        "attention.key_length_swa": config.head_dim, "attention.value_length_swa": config.head_dim,
        "rope.dimension_count_swa": config.head_dim, "expert_feed_forward_length": config.moe_intermediate_size,
    }  # fmt: skip


def mimo(config: Any) -> dict[str, Any]:
    """Local layers with their own key heads."""
    return local(config) | leading(config) | turning()(config) | {
        "attention.head_count_kv": [
            config.num_key_value_heads * (2 if kind == "sliding_attention" else 1) for kind in config.layer_types
        ],
        "attention.value_length": config.v_head_dim, "attention.value_scale": config.attention_value_scale,
    }  # fmt: skip


def step(config: Any) -> dict[str, Any]:
    """Arrays of heads by layer."""
    count = config.num_hidden_layers
    return local(config) | leading(config) | {
        "attention.head_count": [config.num_attention_heads] * count,
        "attention.head_count_kv": [config.num_key_value_heads] * count,
        "attention.value_length": config.head_dim,
    }  # fmt: skip


def t5(config: Any) -> dict[str, Any]:
    """Encoder and decoder."""
    return {
        "context_length": 512, "feed_forward_length": config.d_ff, "attention.key_length": config.d_kv,
        "attention.value_length": config.d_kv, "decoder_block_count": config.num_decoder_layers,
        "attention.layer_norm_rms_epsilon": config.layer_norm_epsilon,
        "attention.relative_buckets_count": config.relative_attention_num_buckets,
        "decoder_start_token_id": config.decoder_start_token_id,
    }  # fmt: skip


def plain_heads(config: Any) -> dict[str, Any]:
    """gpt2 and its like: as many key heads as heads, four times as wide inside."""
    return {"feed_forward_length": 4 * config.hidden_size, "attention.head_count_kv": config.num_attention_heads}
