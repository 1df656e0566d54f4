"""Weights of a transformers model as llama.cpp's converter writes them: names by gguf's table, values by its rules.

Written after `modify_tensors` in llama.cpp's `conversion/`, in the direction Hugging Face -> GGUF: nothing here is
shared with the loader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import gguf
import torch
from torch import Tensor

from .newer_tensors import NEWER, TABLES

Named = Iterator[tuple[str, Tensor]]
ROTATED = frozenset({
    "llama", "arcee", "granite", "granitemoe", "granitehybrid", "smollm3", "mistral3", "olmo", "chameleon",
    "nemotron_h", "nemotron_h_moe", "granite_swa", "muse-glimmer", "pockettts",
})  # fmt: skip
PLUS_ONE = frozenset({"gemma", "gemma2", "gemma3", "gemma-embedding", "nemotron", "qwen3next", "qwen35", "qwen35moe",
                      "qwen4exp", "minimax-m3", "step35"})  # fmt: skip
FROM_THE_OTHER_SIDE = ("llama4", "gpt-oss")
LEFT_OUT = re.compile(r"visual\.|vision_|view_separator|vqmodel|projector|pooler|inv_freq|act_fn\.|\.num_batches")


@cache
def table(arch: str) -> Any:
    """gguf's map of names, with a dict of its own (its constructor writes into the class's)."""

    class Own(gguf.TensorNameMap):
        block_mappings_cfg = dict(gguf.TensorNameMap.block_mappings_cfg)

    return Own({name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[TABLES.get(arch, arch)], 8)


def named(arch: str, key: str) -> str:
    """The GGUF name of a weight."""
    bare = re.sub(r"^(transformer|backbone)\.", "", key)
    for spelling in (key, key.replace("language_model.", ""), f"model.{key}", bare):
        if found := table(arch).get_name(spelling, try_suffixes=(".weight", ".bias")):
            return str(found)
    raise KeyError(f"{arch}: {key}")


def converted(arch: str, row: str, model: Any) -> Named:
    """Every tensor of the file."""
    text = model.config.get_text_config()
    text.allow_global_per_layer_attribute_access = True
    state = {key: tensor for key, tensor in model.state_dict().items() if not LEFT_OUT.search(key)}
    seen: dict[int, str] = {}
    for key, tensor in state.items():
        if tensor.data_ptr() in seen and tensor.numel() > 1:
            continue                                        # tied: the embedding stands for the head
        seen[tensor.data_ptr()] = key
        layer = match[1] if (match := re.search(r"(?:layers|layer|h|block|blocks)\.(\d+)\.", key)) else ""
        for special in (newer, experts, state_space, particular):
            if (found := special(arch, row, key, tensor, layer, text)) is not None:
                yield from found
                break
        else:
            yield named(arch, key), plain(arch, key, tensor, text)


def newer(arch: str, row: str, key: str, t: Tensor, n: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """What gguf 0.19 does not know."""
    return NEWER[arch](key, t, f"blk.{n}.", c) if arch in NEWER else None


def plain(arch: str, key: str, tensor: Tensor, c: Any) -> Tensor:
    """Rotation and norms."""
    if arch in ROTATED and re.search(r"\.q_proj\.(weight|bias)$", key):
        return pairs(tensor, c.num_attention_heads)
    if arch in ROTATED and re.search(r"\.k_proj\.(weight|bias)$", key):
        return pairs(tensor, c.num_key_value_heads)
    norm = key.endswith(("norm.weight", "norm1.weight", "norm2.weight")) and "linear_attn.norm" not in key
    if arch in PLUS_ONE and norm:
        return tensor + 1
    if "layernorm.weight" in key and arch == "nemotron":
        return tensor + 1
    return tensor


def pairs(tensor: Tensor, heads: int) -> Tensor:
    """Halves of each head -> neighbours (`LlamaModel.permute`)."""
    rows = tensor.shape[0]
    return tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def experts(arch: str, row: str, key: str, t: Tensor, n: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """Fused experts apart, corrections by their name."""
    at = f"blk.{n}."
    if arch in FROM_THE_OTHER_SIDE and "experts." in key:
        return other_side(arch, key, t, at)
    if key.endswith("experts.gate_up_proj"):
        gate, up = t.chunk(2, 1)
        apart = [(at + "ffn_gate_exps.weight", gate), (at + "ffn_up_exps.weight", up)]
        return [(at + "ffn_gate_up_exps.weight", t)] if arch == "gemma4" else apart
    if key.endswith(("experts.down_proj", "experts.up_proj")):
        return [(at + f"ffn_{key.split('.')[-1][:-5]}_exps.weight", t)]
    if key.endswith(("e_score_correction_bias", "expert_bias")):
        return [(at + "exp_probs_b.bias", t)]
    if key.endswith("router.weight") and arch in ("granitemoe", "granitehybrid"):
        return [(at + "ffn_gate_inp.weight", t)]
    if key.endswith("shared_mlp.input_linear.weight"):
        gate, up = t.chunk(2, 0)
        return [(at + "ffn_gate_shexp.weight", gate), (at + "ffn_up_shexp.weight", up)]
    if arch == "dbrx" and (match := re.search(r"mlp\.(w1|v1|w2)$", key)):
        fused = t.view(c.ffn_config.moe_num_experts, c.ffn_config.ffn_hidden_size, c.hidden_size)
        name = {"w1": "gate", "v1": "up", "w2": "down"}[match[1]]
        return [(at + f"ffn_{name}_exps.weight", fused.permute(0, 2, 1) if name == "down" else fused)]
    if key.endswith("kv_b_proj.weight") and arch != "minicpm3":
        heads = t.view(c.num_attention_heads, c.qk_nope_head_dim + c.v_head_dim, t.shape[-1])
        k, v = heads.split([c.qk_nope_head_dim, c.v_head_dim], 1)
        return [(at + "attn_k_b.weight", k.transpose(1, 2)), (at + "attn_v_b.weight", v)]
    return None


def other_side(arch: str, key: str, t: Tensor, at: str) -> list[tuple[str, Tensor]]:
    """Llama 4 and gpt-oss multiply from the other side; gpt-oss mixes gate and up."""
    kind = ".bias" if key.endswith("_bias") else ".weight"
    turned = t.transpose(-1, -2) if kind == ".weight" else t
    if "down_proj" in key:
        return [(at + "ffn_down_exps" + kind, turned)]
    if arch == "llama4":
        gate, up = turned.chunk(2, 1)
    else:
        gate, up = turned[:, ::2], turned[:, 1::2]
    return [(at + "ffn_gate_exps" + kind, gate), (at + "ffn_up_exps" + kind, up)]


def state_space(arch: str, row: str, key: str, t: Tensor, n: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """States: A = -exp(A_log), convolutions without their middle dimension."""
    at = f"blk.{n}."
    if "linear_attn." in key and arch in ("qwen3next", "qwen35", "qwen35moe", "qwen4exp"):
        return linear(arch, key, t, at, c)
    nemotron = arch.startswith("nemotron_h") and ".mixer." in key
    if nemotron and "_proj" in key and "experts" not in key and "in_" not in key:
        name = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
                "up_proj": "ffn_up", "down_proj": "ffn_down", "out_proj": "ssm_out"}[key.split(".")[-2]]  # fmt: skip
        return [(f"{at}{name}.weight", plain(arch, key, t, c))]
    if nemotron and (match := re.search(r"mixer\.(in_proj|gate|shared_experts\.\w+)\.weight", key)):
        name = {"in_proj": "ssm_in", "gate": "ffn_gate_inp", "shared_experts.up_proj": "ffn_up_shexp",
                "shared_experts.down_proj": "ffn_down_shexp"}[match[1]]  # fmt: skip
        return [(f"{at}{name}.weight", t)]
    if key.endswith("A_log"):
        return [(at + "ssm_a", -torch.exp(t) if arch in ("mamba", "jamba") else -torch.exp(t).reshape(-1, 1))]
    if re.search(r"(mixer|mamba|linear_attn)\.D$", key):
        return [(at + "ssm_d", t if arch in ("mamba", "jamba") else t.reshape(-1, 1))]
    if key.endswith("dt_bias"):
        return [(at + "ssm_dt.bias", t)]
    if "conv1d" in key and arch != "kimi-linear":
        return [(at + "ssm_conv1d." + key.split(".")[-1], t.squeeze() if key.endswith("weight") else t)]
    if re.search(r"(mixer|mamba)\.norm\.weight", key):
        groups = getattr(c, "n_groups", None) or getattr(c, "mamba_n_groups", 1)
        return [(at + "ssm_norm.weight", t.reshape(groups, -1))]
    if "conv.conv.weight" in key:
        return [(at + "shortconv.conv.weight", t.squeeze(1))]
    return None


def linear(arch: str, key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]]:
    """Gated delta nets: Qwen3-Next taken apart by key head, Qwen3.5 with value heads in the other order."""
    name = key.split("linear_attn.")[1]
    keys, values = c.linear_num_key_heads, c.linear_num_value_heads
    k, v = c.linear_key_head_dim, c.linear_value_head_dim
    moved = arch != "qwen3next"

    def tiled(x: Tensor, head: int) -> Tensor:
        shaped = x.reshape(keys, values // keys, head, *x.shape[1:])
        return shaped.transpose(0, 1).reshape(x.shape) if moved else x

    if name == "in_proj_qkvz.weight":
        by_key = t.view(keys, -1, t.shape[1])
        q, kk, vv, z = by_key.split([k, k, values // keys * v, values // keys * v], 1)
        qkv = torch.cat([each.reshape(-1, t.shape[1]) for each in (q, kk, vv)])
        return [(at + "attn_qkv.weight", qkv), (at + "attn_gate.weight", z.reshape(-1, t.shape[1]))]
    if name in ("in_proj_qkv.weight", "conv1d.weight"):
        flat = t.squeeze()
        head, tail = flat.split([2 * keys * k, values * v])
        gguf_name = "attn_qkv" if "qkv" in name else "ssm_conv1d"
        return [(f"{at}{gguf_name}.weight", torch.cat([head, tiled(tail, v)]))]
    if name == "out_proj.weight":
        return [(at + "ssm_out.weight", tiled(t.T.contiguous(), v).T)]
    simple = {"in_proj_z.weight": ("attn_gate.weight", v), "in_proj_b.weight": ("ssm_beta.weight", 1),
              "in_proj_a.weight": ("ssm_alpha.weight", 1), "dt_bias": ("ssm_dt.bias", 1)}  # fmt: skip
    if name in simple:
        return [(at + simple[name][0], tiled(t, simple[name][1]))]
    if name == "A_log":
        return [(at + "ssm_a", -torch.exp(tiled(t, 1)))]
    return [(at + {"in_proj_ba.weight": "ssm_ba.weight", "norm.weight": "ssm_norm.weight"}[name], t)]


def particular(arch: str, row: str, key: str, t: Tensor, n: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """What one architecture does."""
    at = f"blk.{n}."
    if arch in SPECIAL and (found := SPECIAL[arch](key, t, at, c)) is not None:
        return found
    if key.endswith("sinks"):
        return [(at + "attn_sinks.weight", t)]
    if row in ("roberta", "xlm-roberta") and key.endswith("position_embeddings.weight"):
        return [("position_embd.weight", t[2:])]
    return None


def fused(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """Bloom and GPT-NeoX: by head -> all queries, all keys, all values."""
    if "query_key_value" in key:
        shaped = t.reshape(c.num_attention_heads, 3, -1, *t.shape[1:])
        return [(at + "attn_qkv." + key.split(".")[-1], shaped.transpose(0, 1).reshape(t.shape))]
    names = r"transformer\.(?:h\.\d+\.)?(word_embeddings_layernorm|post_attention_layernorm)\.(\w+)"
    if match := re.search(names, key):
        return [((at + "ffn_norm." if "post" in match[1] else "token_embd_norm.") + match[2], t)]
    return None


def falcon(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """By group -> all queries, all keys, all values."""
    if "query_key_value" not in key:
        return None
    heads = c.num_attention_heads
    groups = c.num_kv_heads
    shaped = t.view(groups, heads // groups + 2, -1, t.shape[1])
    q, k, v = shaped[:, :-2], shaped[:, [-2]], shaped[:, [-1]]
    return [(at + "attn_qkv.weight", torch.cat([each.reshape(-1, t.shape[1]) for each in (q, k, v)]))]


def conv1d(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """gpt2: linear layers that hold their weight turned."""
    if re.search(r"(c_attn|c_proj|c_fc)\.weight$", key):
        return [(named("gpt2", key), t.T)]
    return None


def chameleon(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """Norms of one head for all, turned."""
    if match := re.search(r"\.(q|k)_norm\.(\w+)$", key):
        one = t[0].view(2, t.shape[1] // 2).t().reshape(1, -1)
        return [(f"{at}attn_{match[1]}_norm.{match[2]}", one.repeat_interleave(t.shape[0], 0))]
    return None


def gemma3n(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """Projections between predictions are stacked by `stacked`."""
    if key.endswith("correct_output_scale"):
        return [(at + "altup_correct_scale.weight", t)]
    if match := re.search(r"altup_(projections|unembed_projections)\.(\d)\.", key):
        return [(f"altup_{'unembd_' if 'un' in match[1] else ''}proj.weight#{match[2]}", t)]
    return None


def gemma4(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """Scales of layers, of the router and of experts."""
    names = {"layer_scalar": "layer_output_scale.weight", "router.scale": "ffn_gate_inp.scale",
             "router.per_expert_scale": "ffn_down_exps.scale"}  # fmt: skip
    return next(([(at + name, t)] for ending, name in names.items() if key.endswith(ending)), None)


def bitnet(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """Norms inside attention and MLP; no head of its own is ever written."""
    if match := re.search(r"(attn|ffn)_sub_norm", key):
        return [(f"{at}{match[1]}_sub_norm.weight", t)]
    return [] if key == "lm_head.weight" else None


def kimi(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """Delta attention: kernels apart."""
    if key.endswith("conv1d.weight"):
        parts = zip("qkv", t.chunk(3), strict=True)
        return [(f"{at}ssm_conv1d_{name}.weight", each.reshape(1, -1, 1, t.shape[-1])) for name, each in parts]
    names = {"f_a_proj": "f_a", "f_b_proj": "f_b", "g_a_proj": "g_a", "g_b_proj": "g_b", "b_proj": "beta",
             "o_norm": "norm"}  # fmt: skip
    name = key.split(".")[-2]
    return [(f"{at}ssm_{names[name]}.weight", t)] if name in names else None


def nomic(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """Queries, keys and values in one; norms by their place."""
    if match := re.search(r"self_attn\.([qkv])_proj\.weight", key):
        return [(f"{at}attn_qkv.weight+{match[1]}", t)]
    names = {"self_attn.o_proj": "attn_output", "post_attention_layernorm": "attn_output_norm",
             "post_mlp_layernorm": "layer_output_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down"}  # fmt: skip
    place = next((value for name, value in names.items() if f".{name}." in key), None)
    return [(f"{at}{place}.{key.split('.')[-1]}", t)] if place else None


def stablelm(key: str, t: Tensor, at: str, c: Any) -> list[tuple[str, Tensor]] | None:
    """Norms of heads are stacked by `stacked`."""
    if match := re.search(r"self_attn\.(q|k)_layernorm\.norms\.(\d+)\.weight", key):
        return [(f"{at}attn_{match[1]}_norm.weight#{match[2]}", t)]
    return None


SPECIAL: dict[str, Callable[[str, Tensor, str, Any], list[tuple[str, Tensor]] | None]] = {
    "bloom": fused, "gptneox": fused, "falcon": falcon, "gpt2": conv1d, "chameleon": chameleon, "gemma3n": gemma3n,
    "gemma4": gemma4, "bitnet": bitnet, "stablelm": stablelm,
    "kimi-linear": kimi, "nomic-bert": nomic,
}  # fmt: skip


def stacked(found: Named) -> dict[str, Tensor]:
    """Tensors by name; those that are called "name#number" one above the other, "name+part" one after the other."""
    made: dict[str, Any] = {}
    for name, tensor in found:
        base, mark, _ = re.split(r"([#+]|$)", name, maxsplit=1)
        if mark:
            made.setdefault((base, mark), []).append(tensor)
        else:
            assert (base, "") not in made, base
            made[base, ""] = tensor
    join = {"#": torch.stack, "+": torch.cat, "": lambda tensor: tensor}
    return {base: join[mark](each) for (base, mark), each in made.items()}
