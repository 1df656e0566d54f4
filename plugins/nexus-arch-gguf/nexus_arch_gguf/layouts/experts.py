"""Decoders with experts or with latent attention."""

from __future__ import annotations

from typing import Any

from ..fields import SIGMOID, head_width, real, round_to_short, whole
from ..layout import Layout
from ..rules import Rule
from ..source import Source
from ..values import joined, merged_experts, merged_experts_transposed
from .decoders import ROTATED, every, growing

DBRX = (
    Rule(r"mlp\.w1$", ("blk.{n}.ffn_gate_exps.weight",), merged_experts),
    Rule(r"mlp\.v1$", ("blk.{n}.ffn_up_exps.weight",), merged_experts),
    Rule(r"mlp\.w2$", ("blk.{n}.ffn_down_exps.weight",), merged_experts_transposed),
)
GRANITE = (
    *ROTATED,
    Rule(r"router\.weight$", ("blk.{n}.ffn_gate_inp.weight",)),
    Rule(
        r"shared_mlp\.input_linear\.weight$", ("blk.{n}.ffn_gate_shexp.weight", "blk.{n}.ffn_up_shexp.weight"), joined
    ),
    Rule(r"shared_mlp\.input_linear\.weight$", ("blk.{n}.ffn_gate.weight", "blk.{n}.ffn_up.weight"), joined),
    Rule(r"shared_mlp\.output_linear\.weight$", ("blk.{n}.ffn_down_shexp.weight",)),
    Rule(r"shared_mlp\.output_linear\.weight$", ("blk.{n}.ffn_down.weight",)),
)
GLM = ("glm4", "chatglm-bpe")
"""Pre-tokenizers of GLM."""


def latent(source: Source, fields: dict[str, Any], layer: int = 0) -> None:
    """Widths of multi-head latent attention. Newer files name them apart ("_mla"): what they call the key is then the
    latent vector and its rotated part."""
    rope = whole(source, "rope.dimension_count")
    key = whole(source, "attention.key_length_mla", whole(source, "attention.key_length"))
    fields["qk_rope_head_dim"], fields["qk_nope_head_dim"] = rope, key - rope
    value = whole(source, "attention.value_length_mla", whole(source, "attention.value_length"))
    heads = whole(source, "attention.head_count")
    attention = source.tensors.get(f"blk.{layer}.attn_output.weight")
    output = attention.shape[1] if attention is not None else 0
    fields["v_head_dim"] = output // heads if output else value
    fields["num_key_value_heads"] = heads
    fields["q_lora_rank"] = whole(source, "attention.q_lora_rank") or None
    fields.pop("head_dim", None)
    if isinstance(turning := fields.get("rope_parameters"), dict):
        turning.pop("partial_rotary_factor", None)
        if (scale := real(source, "rope.scaling.yarn_log_multiplier", 0.0)) > 0:
            turning["mscale_all_dim"] = turning["mscale"] = round_to_short(scale * 10)


def deepseek(source: Source) -> Layout:
    """DeepSeek-V2, V3, GLM-4.7-Flash and Youtu share an architecture."""
    if not whole(source, "expert_count"):
        return Layout(head="YoutuForCausalLM", fill=latent)
    if source.text("tokenizer.ggml.pre") in GLM:
        return Layout(head="Glm4MoeLiteForCausalLM", fill=glm_lite)
    corrected = any(name.endswith("exp_probs_b.bias") for name in source.places)
    if not corrected and whole(source, "expert_gating_func") != SIGMOID:
        return Layout(head="DeepseekV2ForCausalLM", fill=deepseek_v2)
    return Layout(head="DeepseekV3ForCausalLM", fill=deepseek_v3)


def deepseek_v2(source: Source, fields: dict[str, Any]) -> None:
    """Greedy choice, softmax scores; groups where the file names more than one. Files from before the groups were
    written have those of the release with 160 experts."""
    latent(source, fields)
    large = whole(source, "expert_count") == 160
    groups = whole(source, "expert_group_count", 8 if large else 1)
    fields["topk_method"] = "group_limited_greedy" if groups > 1 else "greedy"
    fields.setdefault("norm_topk_prob", False)
    fields.setdefault("routed_scaling_factor", 1.0)
    fields["n_group"], fields["topk_group"] = groups, whole(source, "expert_group_used_count", 3 if large else 1)


def deepseek_v3(source: Source, fields: dict[str, Any]) -> None:
    """Sigmoid scores with a correction bias; files from before the groups were written have those of the release."""
    latent(source, fields)
    large = whole(source, "expert_count") == 256
    fields["n_group"] = whole(source, "expert_group_count", 8 if large else 1)
    fields["topk_group"] = whole(source, "expert_group_used_count", 4 if large else 1)
    fields.setdefault("norm_topk_prob", False)
    fields.setdefault("routed_scaling_factor", 1.0)


def glm_lite(source: Source, fields: dict[str, Any]) -> None:
    """GLM-4.7-Flash: told from DeepSeek-V3 by its tokenizer alone."""
    deepseek_v3(source, fields)
    leading, count = leading_dense(source), source.whole("{arch}.block_count") - whole(source, "nextn_predict_layers")
    fields["mlp_layer_types"] = ["dense"] * leading + ["sparse"] * (count - leading)


def mistral4(source: Source, fields: dict[str, Any]) -> None:
    """DeepSeek's layout with Mistral's growing queries."""
    latent(source, fields)
    growing(source, fields)


def leading_dense(source: Source) -> int:
    """Layers before the first that has experts."""
    count = source.whole("{arch}.block_count")
    return next((layer for layer in range(count) if f"blk.{layer}.ffn_gate_inp.weight" in source.places), count)


def dsa(source: Source, fields: dict[str, Any]) -> None:
    """DeepSeek's attention with an index over keys."""
    deepseek_v3(source, fields)
    leading, count = leading_dense(source), source.whole("{arch}.block_count") - whole(source, "nextn_predict_layers")
    fields["mlp_layer_types"] = ["dense"] * leading + ["sparse"] * (count - leading)


def afmoe(source: Source, fields: dict[str, Any]) -> None:
    """Three local layers, one global. Embeddings are multiplied by the root of their width: no metadata says so, every
    release (Trinity) and llama.cpp do it, and the class by default does not."""
    every(source, fields, 4)
    fields["mup_enabled"] = True


def dbrx(source: Source, fields: dict[str, Any]) -> None:
    """Settings of attention and experts stand in groups of their own."""
    for name in ("num_key_value_heads", "rope_parameters", "ffn_hidden_size"):
        fields.pop(name, None)
    fields["attn_config"] = {
        "kv_n_heads": whole(source, "attention.head_count_kv"),
        "clip_qkv": real(source, "attention.clamp_kqv", 0.0) or None,
        "rope_theta": real(source, "rope.freq_base", 10000.0),
    }
    fields["ffn_config"] = {
        "hidden_size": whole(source, "embedding_length"),
        "ffn_hidden_size": whole(source, "feed_forward_length"),
        "moe_num_experts": whole(source, "expert_count"),
        "moe_top_k": whole(source, "expert_used_count"),
    }


def exaone_moe(source: Source, fields: dict[str, Any]) -> None:
    """Dense layers first, then experts; the window as in EXAONE 4."""
    leading, count = leading_dense(source), source.whole("{arch}.block_count") - whole(source, "nextn_predict_layers")
    fields["mlp_layer_types"] = ["dense"] * leading + ["sparse"] * (count - leading)
    if "layer_types" not in fields:
        every(source, fields, 4)


def gpt_oss(source: Source, fields: dict[str, Any]) -> None:
    """Local and global layers take turns; YaRN without rounding."""
    fields["layer_types"] = [
        "full_attention" if layer % 2 else "sliding_attention" for layer in range(source.whole("{arch}.block_count"))
    ]
    if (turning := fields.get("rope_parameters", {})).get("rope_type") == "yarn":
        turning["truncate"] = False
    if length := whole(source, "expert_feed_forward_length"):
        fields["intermediate_size"] = length


def glm_moe(source: Source) -> Layout:
    """GLM 4.5, and Solar Open, which has no dense layers and no biases, and whose heads turn whole."""
    head = head_width(source)
    whole_heads = whole(source, "rope.dimension_count", head) == head
    if whole_heads and "blk.0.ffn_gate_exps.weight" in source.places and "blk.0.attn_q.bias" not in source.places:
        return Layout(head="SolarOpenForCausalLM")
    return Layout(head="Glm4MoeForCausalLM", fill=glm4_moe)


def glm4_moe(source: Source, fields: dict[str, Any]) -> None:
    """Norms of queries and keys where the file has them."""
    fields["use_qk_norm"] = "blk.0.attn_q_norm.weight" in source.places


def granite_moe(source: Source) -> Layout:
    """With a shared expert it is another class."""
    if shared_width(source):
        return Layout(head="GraniteMoeSharedForCausalLM", rules=GRANITE, fill=granite_moe_fields)
    return Layout(head="GraniteMoeForCausalLM", rules=GRANITE, fill=granite_moe_fields)


def granite_moe_fields(source: Source, fields: dict[str, Any]) -> None:
    """Multipliers that are one when no metadata names them."""
    width = whole(source, "embedding_length") // max(1, whole(source, "attention.head_count"))
    fields.setdefault("attention_multiplier", width**-0.5)
    if length := shared_width(source):
        fields["shared_intermediate_size"] = length


def shared_width(source: Source) -> int:
    """The inner width of the expert that sees every token, by its tensor where no metadata says it; 0 without one."""
    down = source.tensors.get("blk.0.ffn_down_shexp.weight")
    return whole(source, "expert_shared_feed_forward_length", down.shape[-1] if down else 0)


def hunyuan_moe(source: Source, fields: dict[str, Any]) -> None:
    """Experts are as wide as `intermediate_size` says."""
    if length := whole(source, "expert_feed_forward_length"):
        fields["intermediate_size"] = length
        fields["moe_intermediate_size"] = length


def llama4(source: Source, fields: dict[str, Any]) -> None:
    """Two inner widths; every fourth layer sees all and has no positions."""
    fields["intermediate_size_mlp"] = whole(source, "feed_forward_length")
    fields["intermediate_size"] = whole(source, "expert_feed_forward_length", fields["intermediate_size_mlp"])
    fields["use_qk_norm"] = whole(source, "expert_count") != 128
    sparse = (f"blk.{layer}.ffn_gate_inp.weight" in source.places for layer in range(whole(source, "block_count")))
    fields["moe_layers"] = [layer for layer, each in enumerate(sparse) if each]
    fields.pop("sliding_window", None)
    if (window := source.get("{arch}.attention.sliding_window")) == 0:
        count = source.whole("{arch}.block_count")              # MobileLLM: positions in all layers, as in llama.cpp
        fields["layer_types"], fields["no_rope_layers"] = ["full_attention"] * count, [1] * count
    elif window:
        fields["attention_chunk_size"] = window


def minimax(source: Source, fields: dict[str, Any]) -> None:
    """Experts are as wide as `intermediate_size` says."""
    if length := whole(source, "expert_feed_forward_length"):
        fields["intermediate_size"] = length
    fields["rotary_dim"] = whole(source, "rope.dimension_count") or None
