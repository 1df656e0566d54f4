"""Layers with a state instead of, or beside, attention."""

from __future__ import annotations

from typing import Any

from ..fields import head_width, whole
from ..layout import Layout
from ..rules import Rule
from ..source import Source
from ..values import convolutions, rotated
from .experts import GRANITE, latent

NEMOTRON_H = (
    *(
        Rule(rf"mixer\.{name}\.(weight|bias)$", (f"blk.{{n}}.{stored}.{{0}}",))
        for name, stored in {
            "conv1d": "ssm_conv1d", "in_proj": "ssm_in", "out_proj": "ssm_out", "gate": "ffn_gate_inp",
            "shared_experts.up_proj": "ffn_up_shexp", "shared_experts.down_proj": "ffn_down_shexp",
            "v_proj": "attn_v", "o_proj": "attn_output", "up_proj": "ffn_up", "down_proj": "ffn_down",
            "fc1_latent_proj": "ffn_latent_down", "fc2_latent_proj": "ffn_latent_up",
        }.items()
    ),
    Rule(r"mixer\.q_proj\.(weight|bias)$", ("blk.{n}.attn_q.{0}",), rotated("num_attention_heads")),
    Rule(r"mixer\.k_proj\.(weight|bias)$", ("blk.{n}.attn_k.{0}",), rotated("num_key_value_heads")),
)  # fmt: skip
KIMI = (
    Rule(
        r"self_attn\.conv1d\.weight$",
        ("blk.{n}.ssm_conv1d_q.weight", "blk.{n}.ssm_conv1d_k.weight", "blk.{n}.ssm_conv1d_v.weight"), convolutions,
    ),
    Rule(r"forget_gate\.f_a_proj\.weight$", ("blk.{n}.ssm_f_a.weight",)),
    Rule(r"forget_gate\.f_b_proj\.weight$", ("blk.{n}.ssm_f_b.weight",)),
    Rule(r"self_attn\.b_proj\.weight$", ("blk.{n}.ssm_beta.weight",)),
    Rule(r"self_attn\.g_a_proj\.weight$", ("blk.{n}.ssm_g_a.weight",)),
    Rule(r"self_attn\.g_b_proj\.weight$", ("blk.{n}.ssm_g_b.weight",)),
    Rule(r"self_attn\.o_norm\.weight$", ("blk.{n}.ssm_norm.weight",)),
)  # fmt: skip


def mamba(source: Source) -> Layout:
    """Norms of B, C and the step are Falcon Mamba's."""
    falcon = bool(source.get("{arch}.ssm.dt_b_c_rms", False))
    return Layout(head="FalconMambaForCausalLM" if falcon else "MambaForCausalLM", fill=mamba_fields)


def mamba_fields(source: Source, fields: dict[str, Any]) -> None:
    """Inner width and rank of the step."""
    inner, width = whole(source, "ssm.inner_size"), whole(source, "embedding_length")
    for name in ("num_attention_heads", "head_dim", "max_position_embeddings", "n_heads"):
        fields.pop(name, None)
    fields["intermediate_size"], fields["expand"] = inner, inner // width
    fields["time_step_rank"] = whole(source, "ssm.time_step_rank")


def mamba2(source: Source, fields: dict[str, Any]) -> None:
    """The rank of the step is the number of heads."""
    inner, heads = whole(source, "ssm.inner_size"), whole(source, "ssm.time_step_rank")
    for name in ("num_attention_heads", "intermediate_size", "max_position_embeddings"):
        fields.pop(name, None)
    fields["num_heads"], fields["head_dim"] = heads, inner // max(1, heads)
    fields["expand"] = inner // whole(source, "embedding_length")


def falcon_h1(source: Source, fields: dict[str, Any]) -> None:
    """Attention and a state side by side. The file's weights have all multipliers in them: they are one here."""
    inner, heads = whole(source, "ssm.inner_size"), whole(source, "ssm.time_step_rank")
    fields |= {"mamba_d_ssm": inner, "mamba_n_heads": heads, "mamba_d_head": inner // max(1, heads)}
    fields |= {
        "embedding_multiplier": 1.0, "lm_head_multiplier": 1.0, "key_multiplier": 1.0, "attention_in_multiplier": 1.0,
        "attention_out_multiplier": 1.0, "ssm_in_multiplier": 1.0, "ssm_out_multiplier": 1.0,
        "ssm_multipliers": [1.0] * 5, "mlp_multipliers": [1.0, 1.0],
    }  # fmt: skip
    fields["mamba_rms_norm"] = "blk.0.ssm_norm.weight" in source.places


def granite_hybrid(source: Source) -> Layout:
    """Granite 4, or Bamba, which has neither multipliers nor shared experts."""
    if source.get("{arch}.attention.scale") is None and not whole(source, "expert_shared_feed_forward_length"):
        return Layout(head="BambaForCausalLM", rules=GRANITE, fill=bamba)
    return Layout(head="GraniteMoeHybridForCausalLM", rules=GRANITE, fill=granite4)


def hybrid(source: Source, fields: dict[str, Any]) -> list[bool]:
    """Settings of the state; which layers attend (those with key heads)."""
    inner, heads = whole(source, "ssm.inner_size"), whole(source, "ssm.time_step_rank")
    fields |= {"mamba_n_heads": heads, "mamba_d_head": inner // max(1, heads)}
    fields["mamba_expand"] = inner // whole(source, "embedding_length")
    return attends(source, fields)


def attends(source: Source, fields: dict[str, Any]) -> list[bool]:
    """Which layers have attention: those with keys, whose rows also tell how many heads of keys there are."""
    fields["num_key_value_heads"] = whole(source, "attention.head_count_kv")
    found = []
    for layer in range(source.whole("{arch}.block_count")):
        keys = source.tensors.get(f"blk.{layer}.attn_k.weight")
        latent_keys = f"blk.{layer}.attn_kv_a_mqa.weight" in source.places
        found.append(latent_keys or (keys is not None and f"blk.{layer}.ssm_f_a.weight" not in source.places))
        if keys is not None and (width := int(fields.get("head_dim") or head_width(source))):
            fields["num_key_value_heads"] = keys.shape[0] // width
    return found


def granite4(source: Source, fields: dict[str, Any]) -> None:
    """Layers by kind, multipliers, the shared expert."""
    fields["layer_types"] = ["attention" if each else "mamba" for each in hybrid(source, fields)]
    width = whole(source, "embedding_length") // max(1, whole(source, "attention.head_count"))
    fields.setdefault("attention_multiplier", width**-0.5)
    fields["shared_intermediate_size"] = whole(
        source, "expert_shared_feed_forward_length", whole(source, "feed_forward_length")
    )
    fields["position_embedding_type"] = "rope" if source.get("{arch}.rope.scaling.finetuned") else None


def bamba(source: Source, fields: dict[str, Any]) -> None:
    """Layers that attend by their numbers."""
    fields["attn_layer_indices"] = [layer for layer, each in enumerate(hybrid(source, fields)) if each]


def nemotron_h(source: Source, fields: dict[str, Any]) -> None:
    """Every layer is one thing: a state, attention, an MLP or experts."""
    attention = attends(source, fields)
    lengths = source.get("{arch}.feed_forward_length")
    kinds = []
    for layer, each in enumerate(attention):
        if f"blk.{layer}.ssm_in.weight" in source.places:
            kinds.append("mamba")
        elif f"blk.{layer}.ffn_gate_inp.weight" in source.places:
            kinds.append("moe")
        else:
            kinds.append("attention" if each else "mlp")
    fields["layers_block_type"] = kinds
    dense = next((layer for layer, kind in enumerate(kinds) if kind == "mlp"), None)
    if dense is not None:
        fields["intermediate_size"] = source.tensors[f"blk.{dense}.ffn_up.weight"].shape[0]
    elif isinstance(lengths, list):
        fields["intermediate_size"] = max(lengths)
    inner, heads = whole(source, "ssm.inner_size"), whole(source, "ssm.time_step_rank")
    fields |= {"mamba_num_heads": heads, "mamba_head_dim": inner // max(1, heads)}
    fields["use_bias"] = any(name.endswith("ssm_in.bias") for name in source.places)        # of states alone


def jamba(source: Source, fields: dict[str, Any]) -> None:
    """Which layers attend and which have experts are periods; the smallest that agree with the file are taken."""
    attention = attends(source, fields)
    sparse = [f"blk.{layer}.ffn_gate_exps.weight" in source.places for layer in range(len(attention))]
    fields["attn_layer_period"], fields["attn_layer_offset"] = period(attention)
    fields["expert_layer_period"], fields["expert_layer_offset"] = period(sparse)
    fields["mamba_dt_rank"] = whole(source, "ssm.time_step_rank")
    fields["mamba_expand"] = whole(source, "ssm.inner_size") // whole(source, "embedding_length")


def period(marks: list[bool]) -> tuple[int, int]:
    """(period, offset) of equally spaced marks.

    >>> period([False, True, False, True])
    (2, 1)
    """
    found = [index for index, each in enumerate(marks) if each]
    if not found:
        return len(marks) + 1, len(marks)
    return (found[1] - found[0] if len(found) > 1 else len(marks)), found[0]


def lfm2(source: Source, fields: dict[str, Any]) -> None:
    """Short convolutions, and attention where there are key heads."""
    fields["layer_types"] = ["full_attention" if each else "conv" for each in attends(source, fields)]
    fields["block_auto_adjust_ff_dim"] = False
    fields["use_expert_bias"] = any("exp_probs_b" in name for name in source.places)


def kimi(source: Source, fields: dict[str, Any]) -> None:
    """Latent attention where there are key heads, delta attention elsewhere."""
    attention = attends(source, fields)
    latent(source, fields, attention.index(True) if True in attention else 0)
    leading = whole(source, "leading_dense_block_count")
    fields["layer_types"] = ["full_attention" if each else "linear_attention" for each in attention]
    fields["mlp_layer_types"] = ["dense"] * leading + ["sparse"] * (len(attention) - leading)
    fields["linear_head_dim"] = whole(source, "kda.head_dim")
    fields["linear_num_heads"] = whole(source, "attention.head_count")
    fields["linear_conv_kernel_dim"] = whole(source, "ssm.conv_kernel", 4)


def delta(source: Source, fields: dict[str, Any]) -> None:
    """Gated delta nets: the inner width is that of all value heads; every few layers one attends."""
    heads, inner = whole(source, "ssm.time_step_rank"), whole(source, "ssm.inner_size")
    fields["linear_num_value_heads"], fields["linear_value_head_dim"] = heads, inner // max(1, heads)
    count = source.whole("{arch}.block_count") - whole(source, "nextn_predict_layers")
    fields["num_hidden_layers"] = count
    fields["layer_types"] = [
        "linear_attention" if f"blk.{layer}.ssm_out.weight" in source.places else "full_attention"
        for layer in range(count)
    ]
    fields.setdefault("norm_topk_prob", True)


