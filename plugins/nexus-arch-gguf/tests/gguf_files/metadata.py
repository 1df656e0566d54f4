"""Metadata of a tiny model as llama.cpp's converter writes it: the general keys, then what an architecture adds.

Written after `TextModel.set_gguf_parameters` and its overrides in llama.cpp's `conversion/`, not after the loader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .keys import (
    attending,
    delta,
    experts,
    first,
    gemma3n,
    gemma4,
    granite,
    latent,
    leading,
    local,
    mamba,
    mamba2,
    mimo,
    plain_heads,
    rope,
    share,
    state,
    step,
    t5,
    turning,
    width,
    window,
)
from .newer_metadata import NEWER

GENERAL: Mapping[str, tuple[str, ...]] = {
    "context_length": ("max_position_embeddings", "n_positions", "max_seq_len"),
    "embedding_length": ("hidden_size", "n_embd", "dim", "d_model"),
    "feed_forward_length": ("intermediate_size", "n_inner", "hidden_dim"),
    "attention.head_count": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "attention.head_count_kv": ("num_key_value_heads", "n_kv_heads"),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps"),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"),
    "expert_count": ("num_local_experts", "num_experts", "n_routed_experts"),
    "expert_used_count": ("num_experts_per_tok", "num_experts_per_token", "top_k_experts"),
    "expert_group_count": ("n_group",),
    "expert_group_used_count": ("topk_group",),
    "attention.key_length": ("head_dim",),
    "attention.value_length": ("head_dim",),
}
BLOCKS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def metadata(arch: str, row: str, config: Any) -> dict[str, Any]:
    """Key (without the architecture) -> value."""
    config.allow_global_per_layer_attribute_access = True
    found: dict[str, Any] = {"block_count": first(config, BLOCKS)}
    for key, names in GENERAL.items():
        value = first(config, names)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[key] = value
    found |= rope(config)
    for table in (EXTRA, NEWER):
        for name in dict.fromkeys((arch, row)):
            if name in table:
                found |= table[name](config)
    return {key: value for key, value in found.items() if value is not None}


EXTRA: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "afmoe": lambda c: leading(c) | window(c) | turning()(c),
    "apertus": turning(), "arcee": turning(), "mistral3": lambda c: turning()(c) | {
        "attention.temperature_scale": c.rope_parameters["llama_4_scaling_beta"],
        "rope.scaling.original_context_length": c.rope_parameters["original_max_position_embeddings"]},
    "bert": lambda _: {"attention.causal": False}, "nomic-bert": lambda _: {"attention.causal": False},
    "eurobert": lambda _: {"attention.causal": False},
    "roberta": lambda c: {"context_length": c.max_position_embeddings - 2},
    "xlm-roberta": lambda c: {"context_length": c.max_position_embeddings - 2},
    "distilbert": lambda _: {"attention.layer_norm_epsilon": 1e-12},
    "bloom": plain_heads,
    "chatglm": lambda c: {"context_length": c.hidden_size, "rope.dimension_count": share(c, 0.5),
        "attention.key_length": None, "attention.value_length": None},
    "chameleon": lambda c: {"swin_norm": bool(c.swin_norm)},
    "cohere2": lambda c: window(c) | turning()(c) | {"logit_scale": c.logit_scale},
    "command-r": lambda c: {"logit_scale": c.logit_scale},
    "dbrx": lambda c: {"attention.head_count_kv": c.attn_config.kv_n_heads, "rope.freq_base": 1e4,
        "feed_forward_length": c.ffn_config.ffn_hidden_size, "attention.clamp_kqv": c.attn_config.clip_qkv,
        "expert_count": c.ffn_config.moe_num_experts, "expert_used_count": c.ffn_config.moe_top_k,
        "attention.layer_norm_epsilon": 1e-5},
    "mistral4": lambda c: latent(c) | {"attention.temperature_scale": c.rope_parameters["llama_4_scaling_beta"]},
    "ministral3-yarn": lambda c: {"rope.scaling.yarn_log_multiplier": c.rope_parameters["mscale_all_dim"]},
    "deepseek2": latent, "glm-dsa": latent, "kimi-linear": lambda c: latent(c) | attending(c, "full_attention") | {
        "ssm.conv_kernel": c.linear_conv_kernel_dim, "kda.head_dim": c.linear_head_dim},
    "minicpm3": lambda c: {**{key: value for key, value in latent(c).items() if "lora" in key},
        "attention.key_length": c.qk_nope_head_dim + c.qk_rope_head_dim, "attention.value_length": None,
        "rope.dimension_count": c.qk_rope_head_dim},
    "dots1": leading, "ernie4_5-moe": lambda c: leading(c) | {"expert_count": c.moe_num_experts,
        "expert_used_count": c.moe_k, "interleave_moe_layer_step": c.moe_layer_interval},
    "exaone4": local, "exaone-moe": lambda c: local(c) | leading(c),
    "falcon": lambda c: {"context_length": 2048, "feed_forward_length": 4 * c.hidden_size,
        "attention.head_count_kv": c.num_kv_heads, "attention.key_length": None, "attention.value_length": None},
    "falcon-h1": lambda c: state("mamba_")(c) | {"attention.key_length": width(c), "attention.value_length": width(c)},
    "gemma2": lambda c: window(c) | {"attn_logit_softcapping": c.attn_logit_softcapping,
        "final_logit_softcapping": c.final_logit_softcapping},
    "gemma3": window, "gemma-embedding": lambda c: {"attention.sliding_window": c.to_dict()["sliding_window"]},
    "gemma3n": gemma3n, "gemma4": gemma4,
    "glm4": turning(0.5), "glm4moe": lambda c: leading(c) | turning(0.5)(c),
    "gpt-oss": lambda c: window(c) | {"expert_feed_forward_length": c.intermediate_size},
    "gpt2": plain_heads, "starcoder": lambda c: plain_heads(c) | {"attention.head_count_kv": 1},
    "gptneox": lambda c: turning(0.25)(c) | {"use_parallel_residual": c.use_parallel_residual},
    "granite": granite, "granitemoe": granite,
    "granitehybrid": lambda c: state("mamba_")(c) | attending(c, "full_attention", "attention") | turning()(c),
    "granitemoehybrid": lambda c: granite(c) | {"rope.dimension_count": None, "rope.scaling.finetuned": False},
    "bamba": lambda _: {"rope.scaling.finetuned": True},
    "hunyuan-moe": lambda c: {"expert_shared_feed_forward_length": c.intermediate_size,
        "expert_feed_forward_length": c.intermediate_size, "expert_used_count": 2, "expert_shared_count": 1},
    "jais2": turning(), "smollm3": turning(), "olmo": turning(), "olmo2": lambda c: local(c)
        if hasattr(c, "layer_types") and "sliding_attention" in c.layer_types else {},
    "jamba": lambda c: {"attention.head_count_kv": [0, 2, 0, 2], "ssm.conv_kernel": c.mamba_d_conv,
        "ssm.inner_size": c.mamba_expand * c.hidden_size, "ssm.state_size": c.mamba_d_state,
        "ssm.time_step_rank": c.mamba_dt_rank},
    "lfm2": lambda c: attending(c, "full_attention") | {"shortconv.l_cache": c.conv_L_cache},
    "lfm2moe": lambda c: attending(c, "full_attention") | leading(c) | {"shortconv.l_cache": c.conv_L_cache},
    "llama": turning(),
    "llama4": lambda c: turning()(c) | {"feed_forward_length": c.intermediate_size_mlp,
        "expert_feed_forward_length": c.intermediate_size, "interleave_moe_layer_step": c.interleave_moe_layer_step},
    "mamba": mamba, "mamba2": mamba2, "mimo2": mimo, "step35": step,
    "minimax-m2": lambda c: turning()(c) | {"expert_feed_forward_length": c.intermediate_size},
    "modern-bert": lambda c: {"attention.sliding_window": c.local_attention, "attention.causal": False,
        "attention.sliding_window_pattern": 3},
    "mpt": lambda c: plain_heads(c) | {"attention.max_alibi_bias": float(c.attn_config.alibi_bias_max),
        "attention.layer_norm_epsilon": 1e-5},
    "nemotron": lambda c: turning(0.5)(c),
    "nemotron_h": lambda c: state("mamba_")(c) | attending(c, "attention", "full_attention") | {
        "attention.layer_norm_rms_epsilon": c.layer_norm_epsilon, "expert_count": None, "expert_used_count": None},
    "nemotron_h_moe": lambda c: state("mamba_")(c) | attending(c, "attention", "full_attention") | experts(c) | {
        "expert_shared_feed_forward_length": c.moe_shared_expert_intermediate_size,
        "attention.layer_norm_rms_epsilon": c.layer_norm_epsilon},
    "phi2": lambda c: plain_heads(c) | turning(0.5)(c),
    "phi3": lambda c: turning()(c) | {"attention.sliding_window": 0,
        "rope.scaling.original_context_length": c.original_max_position_embeddings},
    "phimoe": lambda c: turning()(c) | {"attention.sliding_window": 0,
        "rope.scaling.original_context_length": c.max_position_embeddings},
    "qwen2moe": experts, "qwen3moe": experts, "qwen3vlmoe": experts,
    "qwen35": delta, "qwen35moe": delta, "qwen3next": delta,
    "stablelm": lambda c: turning(0.25)(c) | {"use_parallel_residual": c.use_parallel_residual},
    "t5": t5, "t5encoder": t5,
}  # fmt: skip
"""By architecture, then by row."""
