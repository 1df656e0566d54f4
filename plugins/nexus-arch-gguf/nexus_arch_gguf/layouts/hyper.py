"""Architectures whose residual is several streams (hyper-connections): HY 4, DeepSeek-V4, GLM 5 Next, Qwen 4.

Sources: `conversion/{hy_v4,deepseek,glm,qwen4exp}.py` of llama.cpp.
"""

from __future__ import annotations

from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor

from ..delta import QWEN3_5
from ..fields import real, round_to_short, whole
from ..rules import Rule
from ..source import Source
from ..values import integers, joined, minus_one
from .experts import deepseek_v3, latent
from .indexed import INDEX
from .newer import SIGMOID, SOFTMAX, sparse_behind
from .recurrent import KIMI, attends, delta

STREAMS = (
    Rule(r"(attn|ffn)_hc\.(fn|base|scale)$", ("blk.{n}.hc_{0}_{1}.weight",)),
    Rule(r"hc_head\.hc_(fn|base|scale)$", ("output_hc_{0}.weight",)),
)
HY4 = (*STREAMS, *INDEX, Rule(r"self_attn\.gate_proj\.weight$", ("blk.{n}.attn_gate.weight",)))
GLM5 = (
    *STREAMS, *INDEX, *KIMI,
    Rule(r"indexer\.index_kpool_compress_(ape|gate)$", ("blk.{n}.indexer_compressor_{0}.weight",)),
)  # fmt: skip
DEEPSEEK4 = (
    *STREAMS,
    Rule(r"compressor\.indexer\.position_bias$", ("blk.{n}.indexer_compressor_ape.weight",)),
    Rule(r"compressor\.indexer\.(kv|gate)_proj\.weight$", ("blk.{n}.indexer_compressor_{0}.weight",)),
    Rule(r"compressor\.indexer\.kv_norm\.weight$", ("blk.{n}.indexer_compressor_norm.weight",)),
    Rule(r"compressor\.indexer\.q_b_proj\.weight$", ("blk.{n}.indexer.attn_q_b.weight",)),
    Rule(r"indexer\.scorer\.weights_proj\.weight$", ("blk.{n}.indexer.proj.weight",)),
    Rule(r"compressor\.position_bias$", ("blk.{n}.attn_compressor_ape.weight",)),
    Rule(r"compressor\.(kv|gate)_proj\.weight$", ("blk.{n}.attn_compressor_{0}.weight",)),
    Rule(r"compressor\.kv_norm\.weight$", ("blk.{n}.attn_compressor_norm.weight",)),
    Rule(r"self_attn\.(q_[ab])_proj\.weight$", ("blk.{n}.attn_{0}.weight",)),
    Rule(r"self_attn\.q_a_norm\.weight$", ("blk.{n}.attn_q_a_norm.weight",)),
    Rule(r"self_attn\.kv_proj\.weight$", ("blk.{n}.attn_kv.weight",)),
    Rule(r"self_attn\.kv_norm\.weight$", ("blk.{n}.attn_kv_a_norm.weight",)),
    Rule(r"self_attn\.o_([ab])_proj\.weight$", ("blk.{n}.attn_output_{0}.weight",)),
    Rule(r"gate\.tid2eid$", ("blk.{n}.ffn_gate_tid2eid.weight",), integers),
)  # fmt: skip
QWEN4 = (
    Rule(r"layers\.\d+\.(attn)_hyper_connection\.hc_norm\.weight$", ("blk.{n}.hc_{0}_norm.weight",), minus_one),
    Rule(r"layers\.\d+\.mlp_hyper_connection\.hc_norm\.weight$", ("blk.{n}.hc_ffn_norm.weight",), minus_one),
    Rule(r"attn_hyper_connection\.input_mix_weight_(down|up)\.weight$", ("blk.{n}.hc_attn_{0}.weight",)),
    Rule(r"mlp_hyper_connection\.input_mix_weight_(down|up)\.weight$", ("blk.{n}.hc_ffn_{0}.weight",)),
    Rule(r"attn_hyper_connection\.block_inject_weight\.weight$", ("blk.{n}.hc_attn_inject.weight",)),
    Rule(r"mlp_hyper_connection\.block_inject_weight\.weight$", ("blk.{n}.hc_ffn_inject.weight",)),
    Rule(r"hyper_connection_mixer\.hc_norm\.weight$", ("output_hc_norm.weight",), minus_one),
    Rule(r"hyper_connection_mixer\.input_mix_weight_(down|up)\.weight$", ("output_hc_{0}.weight",)),
    Rule(
        r"indexer\.index_qk_proj\.weight$", ("blk.{n}.indexer.q_proj.weight", "blk.{n}.indexer.k_proj.weight"), joined
    ),
    Rule(r"indexer\.([qk])_layernorm\.weight$", ("blk.{n}.indexer.{0}_norm.weight",), minus_one),
    Rule(r"ple\.(key|value)_proj\.weight$", ("blk.{n}.ple_{0}.weight",)),
    Rule(r"ple\.norm_(key|query|conv)\.weight$", ("blk.{n}.ple_norm_{0}.weight",), minus_one),
    Rule(r"ple\.conv1d\.weight$", ("blk.{n}.ple_conv1d.weight",)),
    Rule(r"ngram_embedding\.weight$", ("per_layer_token_embd.weight",)),
    *QWEN3_5,
)  # fmt: skip
HASHES = {
    "layer_multipliers": "ple.layer_multipliers", "ngram_heads_offsets": "ple.head_offsets",
    "ngram_heads_vocab_sizes": "ple.head_vocab_sizes",
}  # fmt: skip
"""Buffers of hashed n-grams -> the metadata that holds their whole numbers."""
SCORES = {SOFTMAX: "softmax", SIGMOID: "sigmoid", 4: "sqrtsoftplus"}


def streams(source: Source, fields: dict[str, Any]) -> None:
    """How many streams, and how they are mixed; the clamp of experts."""
    fields["hc_mult"] = whole(source, "hyper_connection.count", 4)
    fields["hc_eps"] = real(source, "hyper_connection.epsilon", 1e-6)
    clamp = source.get("{arch}.swiglu_clamp_exp")
    fields["swiglu_limit"] = round_to_short(float(clamp[0] if isinstance(clamp, list) and clamp else clamp or 0.0))


def sharing(source: Source, fields: dict[str, Any]) -> None:
    """Which layers have an index of their own."""
    if isinstance(own := source.get("{arch}.attention.indexer.types"), list):
        fields["indexer_types"] = ["full" if each else "shared" for each in own[: len(fields["mlp_layer_types"])]]


def hy_v4(source: Source, fields: dict[str, Any]) -> None:
    """DeepSeek-V3's layers over streams; without an index all layers see everything."""
    deepseek_v3(source, fields)
    sparse_behind(source, fields)
    streams(source, fields)
    sharing(source, fields)
    fields["hc_magnitude"] = real(source, "hyper_connection.magnitude", 2.0)
    kind = "indexed_attention" if whole(source, "attention.indexer.top_k") else "full_attention"
    fields["layer_types"] = [kind] * len(fields["mlp_layer_types"])


def glm5_next(source: Source, fields: dict[str, Any]) -> None:
    """Delta attention, and latent attention without positions over pooled keys."""
    attention = attends(source, fields)
    latent(source, fields, attention.index(True) if True in attention else 0)
    sparse_behind(source, fields)
    streams(source, fields)
    sharing(source, fields)
    count = len(fields["mlp_layer_types"])
    fields["layer_types"] = ["indexed_attention" if each else "linear_attention" for each in attention[:count]]
    fields["hc_sinkhorn_iters"] = whole(source, "hyper_connection.sinkhorn_iterations", 20)
    fields["linear_head_dim"] = whole(source, "kda.head_dim")
    fields["linear_num_heads"] = whole(source, "attention.head_count")
    fields["linear_conv_kernel_dim"] = whole(source, "ssm.conv_kernel", 4)
    bound = source.get("{arch}.kda.gate_lower_bound")
    fields["linear_lower_bound"] = None if bound is None else real(source, "kda.gate_lower_bound", -5.0)
    fields["index_kpool"] = whole(source, "attention.indexer.kpool", 16)
    fields["index_kpool_always_select_tail"] = bool(source.get("{arch}.attention.indexer.kpool_select_tail", True))


def deepseek_v4(source: Source, fields: dict[str, Any]) -> None:
    """Layers compress their keys by a ratio of each: those with an index little, those without much, some not at all.
    The first layers choose experts by a table of tokens."""
    streams(source, fields)
    fields["hc_sinkhorn_iters"] = whole(source, "hyper_connection.sinkhorn_iterations", 20)
    count, head = fields["num_hidden_layers"], whole(source, "attention.key_length")
    rates, kinds = {}, []
    for layer, ratio in enumerate((source.get("{arch}.attention.compress_ratios") or [])[:count]):
        indexed = f"blk.{layer}.indexer.proj.weight" in source.places
        kind = f"{'compressed_sparse' if indexed else 'heavily_compressed'}_attention" if ratio else "sliding_attention"
        kinds.append(kind)
        rates |= {kind: int(ratio)} if ratio else {}
    hashed = whole(source, "hash_layer_count")
    share = whole(source, "rope.dimension_count", head) / head
    base, compressed = real(source, "rope.freq_base", 10000.0), real(
        source, "attention.compress_rope_freq_base", 160000.0
    )
    scaling = {key: value for key, value in fields.pop("rope_parameters", {}).items() if key != "rope_theta"}
    if scaling.get("rope_type") == "yarn":
        scaling.setdefault("attention_factor", 1.0)
    fields |= {
        "layer_types": kinds, "mlp_layer_types": ["hash_moe"] * hashed + ["moe"] * (count - hashed),
        "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 128} | rates,
        "head_dim": head, "partial_rotary_factor": share, "rope_theta": base, "compress_rope_theta": compressed,
        "o_groups": whole(source, "attention.output_group_count", 8),
        "o_lora_rank": whole(source, "attention.output_lora_rank", 1024),
        "moe_intermediate_size": whole(source, "expert_feed_forward_length"),
        "scoring_func": SCORES.get(whole(source, "expert_gating_func", 4), "sqrtsoftplus"),
        "rope_parameters": {
            "main": {"rope_type": "default", "rope_theta": base, "partial_rotary_factor": share},
            "compress": scaling | {"rope_theta": compressed, "partial_rotary_factor": share},
        },
    }  # fmt: skip
    fields.pop("intermediate_size", None)


def qwen4(source: Source, fields: dict[str, Any]) -> None:
    """Qwen 3.5's delta nets over streams, an index over compressed keys, hashed n-grams in one layer."""
    delta(source, fields)
    fields["layer_types"] = [
        "linear_attention" if each == "linear_attention" else "indexed_attention" for each in fields["layer_types"]
    ]
    fields["hc_count"] = whole(source, "hyper_connection.count", 4)
    fields["hc_lowrank"] = whole(source, "hyper_connection.low_rank", 320)
    ratios = source.get("{arch}.attention.compress_ratios") or [0]
    fields |= {
        "indexer_n_heads": whole(source, "attention.indexer.head_count"), "indexer_kv_heads": 1,
        "indexer_head_dim": whole(source, "attention.indexer.key_length"),
        "indexer_budget": whole(source, "attention.indexer.top_k"), "indexer_compress_ratio": int(max(ratios)),
    }  # fmt: skip
    if layers := source.get("{arch}.ple.layers"):
        _ngrams(source, fields, [int(each) for each in layers])


def _ngrams(source: Source, fields: dict[str, Any], layers: list[int]) -> None:
    """The sizes of the heads' tables are primes that follow one another from the first on."""
    table = source.tensors["per_layer_token_embd.weight"].shape
    sizes = source.get("{arch}.ple.head_vocab_sizes") or []
    if not sizes or min(sizes) < 1 or sum(sizes) > table[0]:
        raise NexusError(
            f"'{source.path}': the metadata 'qwen4exp.ple.head_vocab_sizes' does not fit the {table[0]} rows of "
            "'per_layer_token_embd.weight'. The file is damaged: fetch or convert it again."
        )
    heads, size = whole(source, "ple.heads_per_ngram"), whole(source, "ple.ngram_size")
    fields |= {
        "ple_layer_ids": [layer + 1 for layer in layers], "ple_embed_dim": table[1] * heads * (size - 1),
        "heads_per_ngram": heads, "ngram_size": size, "ple_conv_kernel_size": whole(source, "ple.conv_kernel", 4),
        "ngram_vocab_size_base": sizes[0], "make_ngram_vocab_size_divisible_by": table[0],
        "eos_token_id": whole(source, "ple.eos_token_id"),
    }  # fmt: skip


def hashes(source: Source, module: Any) -> dict[str, Tensor]:
    """The numbers that n-grams are hashed with: 45 bits, which no tensor of the file could hold."""
    found = {}
    for name, _ in module.named_buffers():
        if (key := HASHES.get(name.rpartition(".")[2])) is not None:
            found[name] = torch.tensor(source.get("{arch}." + key) or [], dtype=torch.int64)
    return found
