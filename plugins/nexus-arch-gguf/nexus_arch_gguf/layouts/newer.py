"""Architectures that llama.cpp has and gguf 0.19 has no names for: what differs from those that it has.

Sources: `conversion/{granite,mellum,laguna,command_r,hunyuan,hrm_text,muse_glimmer}.py` of llama.cpp, and what its
`src/models` takes for granted where a file is silent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from nexus_specs import NexusError

from ..fields import SIGMOID, SOFTMAX, round_to_short, whole
from ..layout import Layout
from ..rules import Rule
from ..source import Source
from ..values import minus_one
from .decoders import ROTATED, every, granite
from .experts import GRANITE, granite_moe_fields, leading_dense

GRANITE_SWA = (Rule(r"shared_mlp\.input_linear\.weight$", ("blk.{n}.ffn_up_shexp.weight",)), *GRANITE)
LAGUNA = (Rule(r"\.g_proj\.weight$", ("blk.{n}.attn_gate.weight",)),)
COHERE2_MOE = (Rule(r"mlp\.gate\.weight$", ("blk.{n}.ffn_gate_inp.weight",)),)
MUSE = (
    *ROTATED,
    Rule(r"self_attn\.gate_proj\.weight$", ("blk.{n}.attn_gate.weight",)),
    Rule(r"input_layernorm\.weight$", ("blk.{n}.attn_norm.weight",), minus_one),
    Rule(r"post_attention_layernorm\.weight$", ("blk.{n}.post_attention_norm.weight",), minus_one),
    Rule(r"pre_feedforward_layernorm\.weight$", ("blk.{n}.ffn_norm.weight",), minus_one),
    Rule(r"post_feedforward_layernorm\.weight$", ("blk.{n}.post_ffw_norm.weight",), minus_one),
)
HRM = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.gate_proj": "attn_gate", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


def granite_swa(source: Source) -> Layout:
    """Granite with local layers and sinks; with experts it is another class."""
    if whole(source, "expert_count"):
        return Layout(head="GraniteMoeSWAForCausalLM", rules=GRANITE_SWA, fill=granite_moe_swa_fields)
    return Layout(head="GraniteSWAForCausalLM", rules=ROTATED, fill=granite_swa_fields)


def granite_swa_fields(source: Source, fields: dict[str, Any]) -> None:
    """Layers without positions have the base zero."""
    granite(source, fields)
    turns = source.get("{arch}.attention.rope_pattern")
    if isinstance(turns, list):
        base = fields["rope_parameters"]["rope_theta"]
        fields["layer_rope_theta"] = [base if each else 0 for each in turns]


def granite_moe_swa_fields(source: Source, fields: dict[str, Any]) -> None:
    """The same with experts."""
    granite_swa_fields(source, fields)
    granite_moe_fields(source, fields)


def sparse_behind(source: Source, fields: dict[str, Any]) -> None:
    """Dense layers first, then experts."""
    leading, count = leading_dense(source), source.whole("{arch}.block_count") - whole(source, "nextn_predict_layers")
    fields["mlp_layer_types"] = ["dense"] * leading + ["sparse"] * (count - leading)


def deepseek_ocr(source: Source, fields: dict[str, Any]) -> None:
    """DeepSeek-V2's experts behind plain attention: the text part of three generations of readers."""
    sparse_behind(source, fields)
    fields["topk_method"] = "greedy"
    for name in ("n_group", "topk_group"):
        fields.setdefault(name, 1)
    fields.setdefault("routed_scaling_factor", 1.0)


def mellum(source: Source, fields: dict[str, Any]) -> None:
    """Without a window all layers see everything."""
    if not fields.get("sliding_window"):
        fields["layer_types"] = ["full_attention"] * source.whole("{arch}.block_count")


def laguna(source: Source, fields: dict[str, Any]) -> None:
    """Its own number of heads in each layer, and a gate for each head or for each of its elements. Where the file has a
    window and no pattern, every fourth layer sees everything, the first of all."""
    sparse_behind(source, fields)
    count = source.whole("{arch}.block_count")
    said = source.get("{arch}.attention.head_count")
    heads = said if isinstance(said, list) else [whole(source, "attention.head_count")] * count
    fields["num_attention_heads_per_layer"], fields["num_attention_heads"] = heads, max(heads)
    fields["gating"] = source.tensors["blk.0.attn_gate.weight"].shape[0] == heads[0] or "per-element"
    if "layer_types" not in fields:
        window = bool(whole(source, "attention.sliding_window"))
        fields["layer_types"] = [
            "sliding_attention" if window and layer % 4 else "full_attention" for layer in range(count)
        ]


def cohere2_moe(source: Source, fields: dict[str, Any]) -> None:
    """`intermediate_size` is an expert's; dense layers have another."""
    sparse_behind(source, fields)
    fields["prefix_dense_intermediate_size"] = whole(source, "feed_forward_length")
    fields["intermediate_size"] = whole(source, "expert_feed_forward_length")
    softmax = whole(source, "expert_gating_func", SIGMOID) == SOFTMAX
    fields["expert_selection_fn"] = "softmax" if softmax else "sigmoid"
    fields.setdefault("norm_topk_prob", False)
    if source.get("{arch}.attention.layer_norm_rms_epsilon") is None:
        fields["rms_norm_eps"] = None


def hrm_text(source: Source) -> Layout:
    """Two stacks that take turns: L's layers are the file's first, H's follow."""
    rules = tuple(
        Rule(rf"{stack}_module\.layers\.\d+\.{name}\.weight$", (f"blk.{{n}}.{stored}.weight",), shift=shift)
        for stack, shift in (("L", 0), ("H", whole(source, "hrm.layers_per_stack")))
        for name, stored in HRM.items()
    )
    start = Rule(r"z_L_init$", ("hrm.z_l_init",))
    return Layout(head="HrmTextForCausalLM", rules=(start, *rules), fill=hrm_fields, blocks="hrm.layers_per_stack")


def hrm_fields(source: Source, fields: dict[str, Any]) -> None:
    """`block_count` counts every pass of every layer, and must agree with the passes."""
    layers, high, low = (whole(source, f"hrm.{key}") for key in ("layers_per_stack", "h_cycles", "l_cycles"))
    if fields["num_hidden_layers"] != layers * high * (low + 1):
        raise NexusError(
            f"'{source.path}': the metadata 'hrm_text.block_count' is {fields['num_hidden_layers']}, and {layers} "
            f"layers pass {high} x ({low} + 1) times. The file is damaged: fetch or convert it again."
        )
    fields |= {"num_layers_per_stack": layers, "H_cycles": high, "L_cycles": low}
    fields["embedding_scale"] = float(source.get("{arch}.embedding_scale", 1.0))
    fields["prefix_lm"] = bool(source.get("{arch}.hrm.prefix_lm", False))


def muse_glimmer(source: Source, fields: dict[str, Any]) -> None:
    """Layers that see everything have no positions; what multiplies queries is the file's norm of them."""
    if "layer_types" not in fields:
        every(source, fields, 4)
    base = fields["rope_parameters"]["rope_theta"]
    fields["layer_rope_theta"] = [0 if kind == "full_attention" else base for kind in fields["layer_types"]]
    scale = source.tensor("blk.0.attn_q_norm.weight").view(np.float32)
    fields["qk_scale_factor"] = round_to_short(float(scale.flat[0]))
