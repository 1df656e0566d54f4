"""Tensors of the architectures that gguf 0.19 does not name, as llama.cpp's converter writes them.

Written after `modify_tensors` in llama.cpp's `conversion/` and its newer table of names, apart from the loader. Each
function takes a weight's name, its value, the name of its block and the configuration of the text; None: as usual.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Found = list[tuple[str, Tensor]] | None
WHOLE = ("output_hc", "fc.", "enc.")
"""How names of tensors begin that belong to no block."""
TABLES: Mapping[str, str] = {
    "cohere2moe": "afmoe", "deepseek32": "glm-dsa", "deepseek4": "deepseek2", "dflash": "qwen3",
    "dots3note": "glm-dsa", "glm5-next": "kimi-linear", "granite_swa": "granitehybrid", "hrm_text": "llama",
    "hy_v3": "dots1", "hy_v4": "glm-dsa", "laguna": "dots1", "mellum": "qwen3moe", "minimax-m3": "minimax-m2",
    "muse-glimmer": "gemma3", "pockettts": "llama", "qwen4exp": "qwen35moe",
}  # fmt: skip
"""Architecture -> one that gguf has names for, and which has most of its names."""


def renamed(names: Mapping[str, str]) -> Callable[[str, Tensor, str, Any], Found]:
    """Weights by the ending of their names, values as they are."""

    def made(key: str, t: Tensor, at: str, c: Any) -> Found:
        new = next((new for ending, new in names.items() if key.endswith(ending)), None)
        return [(new if new.startswith(WHOLE) else at + new, t)] if new else None

    return made


INDEX = {
    "indexer.wq_b.weight": "indexer.attn_q_b.weight", "indexer.wk.weight": "indexer.attn_k.weight",
    "indexer.k_norm.weight": "indexer.k_norm.weight", "indexer.k_norm.bias": "indexer.k_norm.bias",
    "indexer.weights_proj.weight": "indexer.proj.weight",
}  # fmt: skip
STREAMS = {
    f"{place}_hc.{name}": f"hc_{place}_{name}.weight" for place in ("attn", "ffn") for name in ("fn", "base", "scale")
} | {f"hc_head.hc_{name}": f"output_hc_{name}.weight" for name in ("fn", "base", "scale")}
SINKS = {"self_attn.sinks": "attn_sinks.weight"}
COMPRESSED = {
    "compressor.indexer.position_bias": "indexer_compressor_ape.weight",
    "compressor.indexer.kv_proj.weight": "indexer_compressor_kv.weight",
    "compressor.indexer.gate_proj.weight": "indexer_compressor_gate.weight",
    "compressor.indexer.kv_norm.weight": "indexer_compressor_norm.weight",
    "compressor.indexer.q_b_proj.weight": "indexer.attn_q_b.weight",
    "indexer.scorer.weights_proj.weight": "indexer.proj.weight",
    "compressor.position_bias": "attn_compressor_ape.weight",
    "compressor.kv_proj.weight": "attn_compressor_kv.weight",
    "compressor.gate_proj.weight": "attn_compressor_gate.weight",
    "compressor.kv_norm.weight": "attn_compressor_norm.weight",
    "self_attn.q_a_proj.weight": "attn_q_a.weight", "self_attn.q_b_proj.weight": "attn_q_b.weight",
    "self_attn.q_a_norm.weight": "attn_q_a_norm.weight", "self_attn.kv_proj.weight": "attn_kv.weight",
    "self_attn.kv_norm.weight": "attn_kv_a_norm.weight", "self_attn.o_a_proj.weight": "attn_output_a.weight",
    "self_attn.o_b_proj.weight": "attn_output_b.weight", "gate.tid2eid": "ffn_gate_tid2eid.weight",
}  # fmt: skip
POCKET = {
    "mlp.fc1.weight": "ffn_up.weight", "mlp.fc2.weight": "ffn_down.weight",
    "self_attn.v_proj.weight": "attn_v.weight", "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight", "post_attention_layernorm.bias": "ffn_norm.bias",
    "input_layernorm.weight": "attn_norm.weight", "input_layernorm.bias": "attn_norm.bias",
}  # fmt: skip


def granite_swa(key: str, t: Tensor, at: str, c: Any) -> Found:
    """Gate and up stay fused."""
    names = {"router.weight": "ffn_gate_inp.weight", "experts.gate_up_proj": "ffn_gate_up_exps.weight",
             "input_linear.weight": "ffn_up_shexp.weight", "output_linear.weight": "ffn_down_shexp.weight"}  # fmt: skip
    return renamed(names)(key, t, at, c)


def hrm(key: str, t: Tensor, at: str, c: Any) -> Found:
    """L's layers first, then H's."""
    if key.endswith("z_L_init"):
        return [("hrm.z_l_init", t)]
    if (match := re.search(r"([LH])_module\.layers\.(\d+)\.(\w+)\.(\w+)\.weight$", key)) is None:
        return None
    number = int(match[2]) + (c.num_layers_per_stack if match[1] == "H" else 0)
    if match[3] == "self_attn":
        name = {"o_proj": "attn_output", "gate_proj": "attn_gate"}.get(match[4], f"attn_{match[4][0]}")
    else:
        name = f"ffn_{match[4].removesuffix('_proj')}"
    return [(f"blk.{number}.{name}.weight", t)]


def muse(key: str, t: Tensor, at: str, c: Any) -> Found:
    """Norms of layers with their one; the last has none."""
    names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm",
             "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}  # fmt: skip
    if key.endswith("self_attn.gate_proj.weight"):
        return [(at + "attn_gate.weight", t)]
    place = next((value for name, value in names.items() if key.endswith(f".{name}.weight")), None)
    return [(f"{at}{place}.weight", t + 1)] if place else None


def dots3(key: str, t: Tensor, at: str, c: Any) -> Found:
    """Norms of latent vectors with the root of width / rank in them; latent attention by kind of layer."""
    own = c.per_layer_config[int(at.split(".")[1])] if at != "blk.." else c
    if key.endswith("q_a_layernorm.weight"):
        return [(at + "attn_q_a_norm.weight", t * math.sqrt(c.hidden_size / own.q_lora_rank))]
    if key.endswith("kv_a_layernorm.weight"):
        return [(at + "attn_kv_a_norm.weight", t * math.sqrt(c.hidden_size / own.kv_lora_rank))]
    if key.endswith("kv_b_proj.weight"):
        heads = t.view(own.num_attention_heads, own.qk_nope_head_dim + own.v_head_dim, -1)
        k, v = heads.split([own.qk_nope_head_dim, own.v_head_dim], 1)
        return [(at + "attn_k_b.weight", k.transpose(1, 2)), (at + "attn_v_b.weight", v)]
    names = {"k_rope_only_layernorm.weight": "attn_k_norm.weight", ".g_proj.weight": "attn_gate.weight"}
    return renamed(names | INDEX)(key, t, at, c)


def minimax_m3(key: str, t: Tensor, at: str, c: Any) -> Found:
    """Norms with their one; gate and up apart."""
    if match := re.search(r"indexer\.(\w+)\.weight$", key):
        return [(f"{at}indexer.{match[1]}.weight", t + 1 if match[1].endswith("norm") else t)]
    if key.endswith("gate_up_proj.weight"):
        gate, up = t.chunk(2)
        end = "_shexp" if "shared_experts" in key else ""
        return [(f"{at}ffn_gate{end}.weight", gate), (f"{at}ffn_up{end}.weight", up)]
    names = {"shared_experts.down_proj.weight": "ffn_down_shexp.weight", "mlp.down_proj.weight": "ffn_down.weight",
             "mlp.gate.weight": "ffn_gate_inp.weight"}  # fmt: skip
    return renamed(names)(key, t, at, c)


def qwen4(key: str, t: Tensor, at: str, c: Any) -> Found:
    """Streams by their low-rank mixers; queries and keys of the index apart; hashed n-grams."""
    if match := re.search(r"(attn|mlp)_hyper_connection\.(\w+)\.weight$", key):
        place, name = match[1].replace("mlp", "ffn"), match[2]
        short = {"hc_norm": "norm", "block_inject_weight": "inject"}.get(name, name.rpartition("_")[2])
        return [(f"{at}hc_{place}_{short}.weight", t + 1 if name == "hc_norm" else t)]
    if match := re.search(r"hyper_connection_mixer\.(\w+)\.weight$", key):
        short = match[1].rpartition("_")[2]
        return [(f"output_hc_{short}.weight", t + 1 if short == "norm" else t)]
    if key.endswith("index_qk_proj.weight"):
        rows = c.indexer_n_heads * c.indexer_head_dim
        return [(at + "indexer.q_proj.weight", t[:rows]), (at + "indexer.k_proj.weight", t[rows:])]
    if match := re.search(r"indexer\.([qk])_layernorm\.weight$", key):
        return [(f"{at}indexer.{match[1]}_norm.weight", t + 1)]
    return ngrams(key, t, at)


def ngrams(key: str, t: Tensor, at: str) -> Found:
    """The layer of hashed n-grams; its whole numbers are metadata."""
    if ".ple." not in key:
        return None
    if key.endswith("ngram_embedding.weight"):
        return [("per_layer_token_embd.weight", t)]
    if match := re.search(r"ple\.(key|value)_proj\.weight$", key):
        return [(f"{at}ple_{match[1]}.weight", t)]
    if match := re.search(r"ple\.(norm_\w+)\.weight$", key):
        return [(f"{at}ple_{match[1]}.weight", t + 1)]
    return [(at + "ple_conv1d.weight", t.squeeze())] if key.endswith("conv1d.weight") else []


def glm5(key: str, t: Tensor, at: str, c: Any) -> Found:
    """Delta attention's kernels apart."""
    if key.endswith("conv1d.weight"):
        parts = zip("qkv", t.chunk(3), strict=True)
        return [(f"{at}ssm_conv1d_{name}.weight", each.reshape(1, -1, 1, t.shape[-1])) for name, each in parts]
    names = {f".{name}_proj.weight": f"ssm_{name}.weight" for name in ("f_a", "f_b", "g_a", "g_b")}
    names |= {".b_proj.weight": "ssm_beta.weight", ".o_norm.weight": "ssm_norm.weight",
              "compress_ape": "indexer_compressor_ape.weight", "compress_gate": "indexer_compressor_gate.weight"}
    return renamed(names | INDEX | STREAMS)(key, t, at, c)


def jina(key: str, t: Tensor, at: str, c: Any) -> Found:
    """Queries, keys and values in one; norms by their place."""
    if match := re.search(r"self_attn\.([qkv])_proj\.(weight|bias)", key):
        return [(f"{at}attn_qkv.{match[2]}+{match[1]}", t)]
    names = {f"{ours}.{end}": f"{theirs}.{end}" for end in ("weight", "bias") for ours, theirs in (
        ("self_attn.o_proj", "attn_output"), ("post_attention_layernorm", "attn_output_norm"), ("mlp.fc1", "ffn_up"),
        ("post_mlp_layernorm", "layer_output_norm"), ("mlp.fc2", "ffn_down"))}  # fmt: skip
    return renamed(names)(key, t, at, c)


def pocket(key: str, t: Tensor, at: str, c: Any) -> Found:
    """What projects sound lies in the mmproj file."""
    return [] if "audio_" in key or key == "bos_latent" else renamed(POCKET)(key, t, at, c)


def tower(key: str, t: Tensor, at: str, c: Any) -> Found:
    """A vision tower: everything by its place."""
    whole = {"patch_embedding": "patch_embd", "position_embedding": "position_embd", "pre_layrnorm": "pre_ln",
             "post_layernorm": "post_ln", "patch_conv": "patch_embd", "ln_pre": "pre_ln"}  # fmt: skip
    if key.endswith("class_embedding"):
        return [("v.class_embd", t)]
    module, end = key.split(".")[-2:]
    if module in whole:
        return [(f"v.{whole[module]}.{end}", t)]
    short = {"out_proj": "attn_out", "layer_norm1": "ln1", "layer_norm2": "ln2", "fc1": "ffn_up", "fc2": "ffn_down",
             "o_proj": "attn_out", "attention_norm": "ln1", "ffn_norm": "ln2"}  # fmt: skip
    if ".feed_forward." in key:
        return [(f"v.{at}ffn_{module.removesuffix('_proj')}.{end}", t)]
    if ".attention." in key and module[0] in "qk":          # Pixtral's are turned (`LlavaVisionModel`)
        heads, rows = c.num_attention_heads, t.shape[0]
        t = t.reshape(heads, 2, rows // heads // 2, *t.shape[1:]).swapaxes(1, 2).reshape(t.shape)
    return [(f"v.{at}{short.get(module, f'attn_{module[0]}')}.{end}", t)]


NEWER: Mapping[str, Callable[[str, Tensor, str, Any], Found]] = {
    "clip": tower,
    "cohere2moe": renamed({"mlp.gate.weight": "ffn_gate_inp.weight"}),
    "deepseek4": renamed(COMPRESSED | STREAMS | SINKS),
    "dflash": renamed({"post_attention_layernorm.weight": "ffn_norm.weight", "encoder.fc.weight": "fc.weight",
        "encoder.output_norm_enc.weight": "enc.output_norm.weight"}),
    "dots3note": dots3, "glm5-next": glm5, "granite_swa": granite_swa, "hrm_text": hrm,
    "hy_v4": renamed({"self_attn.gate_proj.weight": "attn_gate.weight"} | INDEX | STREAMS | SINKS),
    "hy_v3": renamed({"e_score_correction_bias": "exp_probs_b"}), "jina-bert-v3": jina,
    "laguna": renamed({"self_attn.g_proj.weight": "attn_gate.weight"}), "minimax-m3": minimax_m3,
    "muse-glimmer": muse, "pockettts": pocket, "qwen4exp": qwen4,
}  # fmt: skip
