"""Decoders without experts: what differs from one architecture to the next."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..fields import head_width, real, whole
from ..layout import Fill, Layout
from ..rules import Rule
from ..source import Source
from ..values import (
    falcon_groups,
    first_halves,
    head_row,
    query_key_value,
    rotated,
    side_by_side,
    transposed,
)

ROTATED = (
    Rule(r"\.q_proj\.(weight|bias)$", (), rotated("num_attention_heads")),
    Rule(r"\.k_proj\.(weight|bias)$", (), rotated("num_key_value_heads")),
)
"""Queries and keys that llama.cpp rotates in pairs of neighbours."""
IN_HALVES = (Rule(r"\.(?:q|k)_proj\.(weight|bias)$", (), side_by_side),)
FUSED_QKV = (
    Rule(r"query_key_value\.(weight|bias)$", (), query_key_value),
    Rule(r"word_embeddings_layernorm\.weight$", ("token_embd_norm.weight",)),
    Rule(r"word_embeddings_layernorm\.bias$", ("token_embd_norm.bias",)),
    Rule(r"h\.\d+\.post_attention_layernorm\.weight$", ("blk.{n}.ffn_norm.weight",)),
    Rule(r"h\.\d+\.post_attention_layernorm\.bias$", ("blk.{n}.ffn_norm.bias",)),
)
GPT2 = (Rule(r"(c_attn|c_proj|c_fc)\.weight$", (), transposed),)
FALCON = (Rule(r"query_key_value\.(weight|bias)$", (), falcon_groups),)
BITNET = (
    Rule(r"attn_sub_norm\.weight$", ("blk.{n}.attn_sub_norm.weight",)),
    Rule(r"ffn_sub_norm\.weight$", ("blk.{n}.ffn_sub_norm.weight",)),
)
STABLELM = (Rule(r"self_attn\.q_layernorm\.norms\.\d+\.weight$", ("blk.{n}.attn_q_norm.weight",), head_row),
            Rule(r"self_attn\.k_layernorm\.norms\.\d+\.weight$", ("blk.{n}.attn_k_norm.weight",), head_row))
CHAMELEON = (
    *ROTATED,
    Rule(r"\.(q|k)_norm\.(weight|bias)$", (), first_halves),
)


def llama(source: Source) -> Layout:
    """Llama, Mistral and whatever else was converted as they are; with experts it is Mixtral."""
    if whole(source, "expert_count"):
        return Layout(head="MixtralForCausalLM", rules=ROTATED, fill=mixtral)
    return Layout(head="LlamaForCausalLM", rules=ROTATED)


def mixtral(_: Source, fields: dict[str, Any]) -> None:
    """No window: llama.cpp's llama has none."""
    fields.setdefault("sliding_window", None)


def apertus(source: Source, module: Any) -> dict[str, Tensor]:
    """Four numbers of the activation of each layer are metadata, not tensors."""
    found: dict[str, Tensor] = {}
    for key in ("alpha_p", "alpha_n", "beta", "eps"):
        said = source.get(f"xielu.{key}", [])
        for layer, value in enumerate(said if isinstance(said, list) else [said] * len(module.model.layers)):
            name = f"model.layers.{layer}.mlp.act_fn.{key}"
            shape = module.get_submodule(name.rpartition(".")[0]).state_dict()[key].shape
            found[name] = torch.tensor(float(value)).reshape(shape)
    return found


def cohere(source: Source, fields: dict[str, Any]) -> None:
    """Norms of queries and keys where the file has them."""
    fields["use_qk_norm"] = "blk.0.attn_q_norm.weight" in source.places


def cohere2(source: Source, fields: dict[str, Any]) -> None:
    """llama.cpp's pattern is fixed: three local layers, one global, as in every released model."""
    every(source, fields, 4)


def exaone4(source: Source, fields: dict[str, Any]) -> None:
    """Without a window all layers are global."""
    if fields.get("sliding_window") is None:
        fields["sliding_window"], fields["sliding_window_pattern"] = None, 0
        fields["layer_types"] = ["full_attention"] * source.whole("{arch}.block_count")
    elif "layer_types" not in fields:
        every(source, fields, 4)


def falcon(source: Source, fields: dict[str, Any]) -> None:
    """Two norms side by side are the new architecture; one key head for all is the 7B of the old one."""
    heads, keys = whole(source, "attention.head_count"), whole(source, "attention.head_count_kv", 1)
    fields["new_decoder_architecture"] = "blk.0.attn_norm_2.weight" in source.places
    fields["num_kv_heads"], fields["multi_query"] = keys, keys == 1 and heads != 1
    fields["bias"] = "blk.0.attn_qkv.bias" in source.places
    fields.pop("ffn_hidden_size", None)
    fields["ffn_hidden_size"] = source.tensors["blk.0.ffn_up.weight"].shape[0]


def glm(source: Source, fields: dict[str, Any]) -> None:
    """Half of each head turns."""
    fields["attention_bias"] = "blk.0.attn_q.bias" in source.places


def glm4(source: Source) -> Layout:
    """GLM 4, and the text model of GLM-4V, whose turning rows the file holds in halves (M-RoPE: it has sections)."""
    sections = source.get("{arch}.rope.dimension_sections")
    return Layout(head="Glm4ForCausalLM", rules=IN_HALVES if isinstance(sections, list) and any(sections) else ())


def in_sections(axes: int) -> Fill:
    """M-RoPE: where a file does not say how many frequencies turn with each axis, as many with each. All axes of a text
    are one."""

    def fill(source: Source, fields: dict[str, Any]) -> None:
        turning = whole(source, "rope.dimension_count", head_width(source)) // 2
        shares = [(turning + at) // axes for at in range(axes)]
        fields["rope_parameters"].setdefault("mrope_section", shares)

    return fill


def granite(source: Source, fields: dict[str, Any]) -> None:
    """Four multipliers; without them a Llama."""
    width = whole(source, "embedding_length") // max(1, whole(source, "attention.head_count"))
    fields.setdefault("attention_multiplier", width**-0.5)


def ministral(source: Source, fields: dict[str, Any]) -> None:
    """No window; what YaRN multiplies is written as it is, not as DeepSeek's."""
    growing(source, fields)
    if (scale := real(source, "rope.scaling.yarn_log_multiplier", 0.0)) > 0:
        fields["rope_parameters"]["mscale"] = fields["rope_parameters"]["mscale_all_dim"] = scale
    fields.setdefault("sliding_window", None)


def growing(source: Source, fields: dict[str, Any]) -> None:
    """Queries grow with the logarithm of their position; without the metadata they do not."""
    fields["rope_parameters"]["llama_4_scaling_beta"] = real(source, "attention.temperature_scale", 0.0)
    original = whole(source, "rope.scaling.original_context_length", whole(source, "context_length"))
    fields["rope_parameters"]["original_max_position_embeddings"] = original


def mpt(source: Source, fields: dict[str, Any]) -> None:
    """Attention biased by distance; how much, and the clipping, stand in the metadata."""
    width = whole(source, "embedding_length")
    fields["expansion_ratio"] = whole(source, "feed_forward_length", 4 * width) // width
    fields["attn_config"] = {
        "alibi": real(source, "attention.max_alibi_bias", 0.0) > 0,
        "alibi_bias_max": int(real(source, "attention.max_alibi_bias", 8.0)) or 8,
        "clip_qkv": real(source, "attention.clamp_kqv", 0.0) or None,
    }


def olmo(source: Source, fields: dict[str, Any]) -> None:
    """Clipping of queries, keys and values."""
    fields["clip_qkv"] = real(source, "attention.clamp_kqv", 0.0) or None


def olmo2(source: Source) -> Layout:
    """With a sliding window it is Olmo 3."""
    return Layout(head="Olmo3ForCausalLM" if source.get("{arch}.attention.sliding_window") else "Olmo2ForCausalLM")


def phi3(source: Source, fields: dict[str, Any]) -> None:
    """A window of zero is none; the trained length decides between short and long factors."""
    fields["sliding_window"] = fields.get("sliding_window") or None
    original = whole(source, "rope.scaling.original_context_length", whole(source, "context_length"))
    fields["original_max_position_embeddings"] = original


def smollm3(source: Source, fields: dict[str, Any]) -> None:
    """Every fourth layer has no positions."""
    fields["no_rope_layers"] = [int((layer + 1) % 4 != 0) for layer in range(source.whole("{arch}.block_count"))]
    fields["use_sliding_window"] = False


def stablelm(source: Source, fields: dict[str, Any]) -> None:
    """Biases and norms of queries and keys where the file has them."""
    fields["use_qkv_bias"] = "blk.0.attn_q.bias" in source.places
    fields["qk_layernorm"] = "blk.0.attn_q_norm.weight" in source.places
    fields["use_parallel_residual"] = "blk.0.ffn_norm.weight" not in source.places


def window_or_none(_: Source, fields: dict[str, Any]) -> None:
    """No window unless the file names one."""
    fields.setdefault("sliding_window", None)


def every(source: Source, fields: dict[str, Any], period: int) -> None:
    """Local layers, and every `period`-th a global one, unless the file has a pattern of its own."""
    count = source.whole("{arch}.block_count")
    said = source.get("{arch}.attention.sliding_window_pattern")
    if isinstance(said, list):
        fields["layer_types"] = ["sliding_attention" if each else "full_attention" for each in said]
        return
    period = whole(source, "attention.sliding_window_pattern", period) or count + 1     # 0: local layers alone
    fields["layer_types"] = [
        "full_attention" if (layer + 1) % period == 0 else "sliding_attention" for layer in range(count)
    ]


