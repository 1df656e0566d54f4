"""Configurations of any architecture, made small by rule: equal widths stay equal, lists keep their form.

One rule for each sort of number, found by its name. `LEVELS` go from the smallest to transformers' default, for the
few architectures whose numbers hang together in a way that no rule sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig

from .exceptions import CHOSEN, DEEPER, EXCEPTIONS, EXPERTS, HEAD, merged

LAYERS, WIDTH, INNER, HEADS, FEWER, WORDS = 6, 64, 128, 4, 2, 320
SUPPLIED = {
    "head_dim": HEAD, "num_key_value_heads": HEADS, "n_routed_experts": EXPERTS, "n_shared_experts": 1,
    "num_experts_per_tok": CHOSEN, "vocab_size": WORDS, "prediction_length": 8, "indexer_n_heads": HEADS,
    "indexer_kv_heads": 1, "indexer_head_dim": 32, "indexer_budget": 8, "indexer_compress_ratio": 4,
    "downsample_rate": "1/2", "vocabulary_map": {}, "image_token_index": WORDS - 1,
}  # fmt: skip
"""Numbers that transformers' default leaves open though the model cannot be without them."""
LEVELS = ("small", "shallow", "default")
"""Everything shrunk; layers, experts and vocabulary alone; as it is."""

DEPTH = (
    r"(num_|n_)?((en|de)coder_|hidden_|text_|vision_|cross_|l_|x_|r_|\w+_num_)*(hidden_)?layers?|depth|\w*_depth"
    r"|num_(blocks|hidden_groups)|n_layer|num_attention_layers|num_self_attends_per_block|\w+_num_hidden_layers"
)
RULES: tuple[tuple[str, int], ...] = (
    (r"num_residual_layers|num_feat_extract_layers|num_conv_layers|max_depth|num_adapter_layers", -1),
    (r"num_kv_shared_layers|max_window_layers", 2),
    (r"first_k_dense_replace|moe_layer_start_index|num_dense_layers|num_nextn_predict_layers|n_dense_layers", 1),
    (DEPTH, LAYERS),
    (r"hidden_size_per_layer_input|q_lora_rank|kv_lora_rank|o_lora_rank|router_hidden_size", 32),
    (r"qk_rope_head_dim|qk_nope_head_dim|v_head_dim|head_dim|d_kv|\w+_head_dim|d_head|attention_head_size", HEAD),
    (r"index_head_dim|qk_head_dim|mamba_d_state|state_size|ssm_state_size|global_head_dim", 32),
    (r"mamba_head_dim|mamba_headdim|mamba_d_head|mamba_d_state", HEAD),
    (r"mamba_num_heads|mamba_n_heads|n_mamba_heads", 8),
    (r"(mamba_)?(n_groups|num_groups|ngroups)|n_group|topk_group", 2),
    (r"\w*(intermediate_size|intermediate_dim|ffn_dim|ffn_hidden_size|feed_forward_size|mlp_dim)", INNER),
    (r"d_ff|dff|dim_ff|n_inner|intermediate_hidden_size|shared_expert_intermediate_size|mamba_d_ssm", INNER),
    (r"hidden_size|d_model|n_embd|embed_dim|dim|hidden_dim|embedding_size|embedding_dim|emb_dim|projection_dim", WIDTH),
    (r"\w+_(hidden_size|hidden_dim|projection_dim|embed_dim|proj_dim|embed_size|model_dim|width|proj_size)", WIDTH),
    (r"width|true_hidden_size|hidden_size_\w+|model_dim|output_dim|lru_width|d_embed|mm_hidden_size", WIDTH),
    (r"num_key_value_heads|num_kv_heads|kv_n_heads|\w+_num_key_value_heads|num_query_groups|n_kv_heads", FEWER),
    (r"(num_|n_)?(\w+_)?(attention_heads|attn_heads|heads?)|num_attention_heads", HEADS),
    (r"(num_|n_)?(local_|routed_|moe_)?(num_)?experts|moe_num_experts|n_routed_experts|num_routed_experts", EXPERTS),
    (r"num_experts_per_(tok|token)|moe_topk|moe_top_k|moe_k|top_k|num_experts_chosen|topk|moe_router_topk", CHOSEN),
    (r"zero_expert_num", 2),
    (r"sliding_window|attention_chunk_size|index_topk|attention_window_size", 8),
    (r"\w*max_position_embeddings|n_positions|n_ctx|max_seq_len|max_sequence_length|context_length", 256),
    (r"max_source_positions", 32),
    (r"(text_|src_|tgt_|decoder_|encoder_|entity_)*vocab_size(_per_layer_input)?", WORDS),
)  # fmt: skip
SHALLOW = re.compile(rf"({DEPTH})|vocab_size|(num_|n_)?(local_|routed_|moe_)?(num_)?experts|\w*max_position_embeddings")
COMPILED = tuple((re.compile(pattern), number) for pattern, number in RULES)
INDICES = re.compile(r"\w*(index(es)?|indices|layers|layer_ids|layer_idx|ids|hook_ids)")
TOKEN = re.compile(r"\w+_(token_id|token_index|token_ids|bos_id|eos_id|pad_id)|(bos|eos|pad|sep|cls|mask)_token_id")
FIRST = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "decoder_start_token_id": 0, "sep_token_id": 1}


def shrink(config: PreTrainedConfig, level: str = "small") -> PreTrainedConfig:
    """The same sort of configuration with small numbers. Raises what transformers raises for those."""
    if level == "default":
        return config
    names: dict[str, int] = {}
    small = level == "small"
    return type(config)(**merged(_changes(config, small, names), DEEPER.get(config.model_type, {}) if small else {}))


def _changes(config: PreTrainedConfig, everything: bool, tokens: dict[str, int]) -> dict[str, Any]:
    """What differs from the default, sub-configurations included."""
    values, depth = _values(config), depth_of(config)
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = _inner(config, name)
        if inner is not None:
            found[name] = _given(inner, depth_of(inner)) | _changes(inner, everything, tokens)
        elif name == "rope_parameters" and isinstance(value, dict):
            found[name] = _rope(value, values)
        elif value is None and everything and name in SUPPLIED:
            found[name] = SUPPLIED[name]
        elif (new := _new(name, value, depth, values, everything, tokens)) is not None and new != value:
            found[name] = new
    return merged(found, EXCEPTIONS.get(config.model_type, {})) if everything else found


def _values(config: PreTrainedConfig) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if not name.startswith("_")}


def depth_of(config: PreTrainedConfig) -> int:
    """Layers of the deepest stack that a configuration names itself."""
    return max((value for name, value in _values(config).items() if _is_depth(name, value)), default=0)


def _given(inner: PreTrainedConfig, depth: int) -> dict[str, Any]:
    """What an outer configuration says of an inner one beyond its class's own default (a backbone's `out_indices`, a
    tower without its pooling head). Lists with an entry for each layer are the class's to make again."""
    found = {"model_type": inner.model_type}
    try:
        default = _values(type(inner)())
    except Exception:  # a class that cannot be without arguments
        return found
    for name, value in _values(inner).items():
        derived = isinstance(value, (list, tuple, dict)) and (len(value) == depth or name == "out_features")
        if name != "stage_names" and not derived and (name not in default or value != default[name]):
            found[name] = value
    return found


def _inner(config: PreTrainedConfig, name: str) -> PreTrainedConfig | None:
    """A sub-configuration (some numbers that differ by layer cannot even be asked for)."""
    if not name.endswith("config") and name not in config.sub_configs:
        return None
    found = getattr(config, name, None)
    return found if isinstance(found, PreTrainedConfig) else None


def _rope(value: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of a rotary embedding, for the smaller heads: they add up to the same share of a head."""
    sections = value.get("mrope_section")
    heads = values.get("num_attention_heads")
    if not isinstance(sections, list) or not isinstance(heads, int):
        return value
    old = values.get("head_dim") or values["hidden_size"] // heads
    whole = sum(sections) * HEAD // old
    new = [each * HEAD // old for each in sections]
    new[0] += whole - sum(new)
    return {**value, "mrope_section": new}


def _new(name: str, value: Any, depth: int, values: Mapping[str, Any], everything: bool, tokens: dict[str, int]) -> Any:
    """A number or list made small; None to leave it to the class."""
    if isinstance(value, bool):
        return None
    if TOKEN.fullmatch(name):
        return _token(name, value, tokens) if _vocabulary_shrinks(values) else None
    if isinstance(value, int):
        return _number(name, value, values, everything)
    if isinstance(value, (list, tuple)) and value and depth > LAYERS:
        return _list(name, list(value), depth, everything)
    return None


def _number(name: str, value: int, values: Mapping[str, Any], everything: bool) -> int | None:
    if not everything and not SHALLOW.fullmatch(name):
        return None
    if name == "image_size" or name == "img_size":
        patch = values.get("patch_size")
        return patch * 4 if isinstance(patch, int) and value > patch * 4 else None
    for pattern, number in COMPILED:
        if pattern.fullmatch(name):
            many = name == "num_key_value_heads" and value == values.get("num_attention_heads")
            if number == LAYERS and value > 1 and pattern.pattern == DEPTH:
                return LAYERS
            return min(value, HEADS if many else number) if number >= 0 else None
    return None


def _list(name: str, value: list[Any], depth: int, everything: bool) -> list[Any] | None:
    """Indices of layers are moved into the small stack; a list with an entry a layer is cut (strings are left out:
    the class makes kinds of layers itself)."""
    if INDICES.fullmatch(name) and all(isinstance(each, int) and 0 <= each <= depth for each in value):
        return sorted({each * LAYERS // depth for each in value}) if len(value) < depth else value[:LAYERS]
    if len(value) == depth and isinstance(value[0], int):
        numbers = [_number(name.removesuffix("_per_layer"), each, {}, everything) or each for each in value]
        return numbers[:LAYERS]
    return None


def _token(name: str, value: Any, tokens: dict[str, int]) -> Any:
    """Special tokens have their own places at the end of the small vocabulary, the same in every sub-configuration."""
    if isinstance(value, list):
        return [_token(f"{name}{place}", each, tokens) for place, each in enumerate(value)]
    if not isinstance(value, int) or value < 0:
        return None
    if name in FIRST:
        return FIRST[name]
    return tokens.setdefault(name.replace("_index", "_id"), WORDS - 1 - len(tokens))


def _vocabulary_shrinks(values: Mapping[str, Any]) -> bool:
    size = values.get("vocab_size")
    return size is None or not isinstance(size, int) or size >= WORDS


def _is_depth(name: str, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and bool(re.fullmatch(DEPTH, name))
