"""Configurations of any architecture, made small by rule: equal widths stay equal, lists keep their form.

One rule for each sort of number, found by its name. `LEVELS` go from the smallest to transformers' default, for the
few architectures whose numbers hang together in a way that no rule sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig

LAYERS, WIDTH, INNER, HEADS, FEWER, HEAD, EXPERTS, CHOSEN, WORDS = 6, 64, 128, 4, 2, 16, 8, 2, 320
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
ROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0}
FLOW: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "condition_dim": 64, "frequency_embedding_size": 32}
EXCEPTIONS: Mapping[str, Mapping[str, Any]] = {
    "bamba": {"attn_layer_indices": [2, 5]},
    "bailing_hybrid": {"num_expert_group": 2},
    "codegen": {"rotary_dim": 8},
    "gptj": {"rotary_dim": 8},
    "glm5_next_text": {"index_topk": 16, "qk_rope_head_dim": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], 3]]},
    "mamba2": {"num_heads": 8, "n_groups": 2},
    "mimi": {"upsample_groups": 64},
    "moonshine": {"decoder_num_key_value_heads": 4, "encoder_num_key_value_heads": 4},
    "longcat_flash": {"head_dim": HEAD, "qk_head_dim": 32},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 3},
    "reformer": {"is_decoder": True, "axial_pos_embds_dim": [16, 48], "axial_pos_shape": [16, 16]},
    "vits": {"noise_scale": 0.0, "noise_scale_duration": 0.0},
    "molmo2_adapter": {"vision_feature_layer": [5, 3]},
    "blt": {"encoder_hash_byte_group_vocab": 100},
    "cohere_compass_text": {"rope_parameters": {"full_attention": ROPE, "sliding_attention": ROPE}},
    "dbrx": {"d_model": 64, "n_heads": 4, "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
             "ffn_config": {"hidden_size": 64, "ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2}},
    "diffusion_gemma_text": {"num_experts": EXPERTS, "top_k_experts": CHOSEN, "moe_intermediate_size": 32},
    "emu3_vqgan": {"base_channels": 32, "channel_multiplier": [1, 2], "codebook_size": 64},
    "ernie4_5_vl_moe_text": {"moe_intermediate_size": [64, 32]},
    "esm": {"mask_token_id": 5, "pad_token_id": 1},
    "fun_asr_nano": {"adaptor_config": {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 16,
                                        "num_hidden_layers": 2, "projector_hidden_size": 64}},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "glm4v_moe_text": {"rope_parameters": ROPE | {"mrope_section": [2, 1, 1]}},
    "hunyuan_vl_text": {"rope_parameters": ROPE | {"xdrope_section": [2, 2, 2, 2]}},
    "janus_vqgan": {"base_channels": 32, "channel_multiplier": [1, 2], "num_embeddings": 64},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 3, "num_dense_layers": 1},
    "pocket_tts": {"flow_head_config": FLOW},
    "gradium_phonon_tts": {"flow_head_config": FLOW},
    **{name: {"rope_parameters": ROPE | {"mrope_section": [2, 3, 3]}} for name in (
        "qwen2_vl_text", "qwen2_5_vl_text", "paddleocr_vl_text", "glm4v_text", "glm_ocr_text", "glm_image_text",
        "qwen2_5_omni_text",
    )},
    **{f"vibevoice_acoustic_tokenizer{part}": {"num_filters": 4, "depths": [1] * 7} for part in (
        "", "_encoder", "_decoder",
    )},
    "sam_vision_model": {"output_channels": 64},
    "sam_hq_vision_model": {"output_channels": 64},
    "vjepa2": {"crop_size": 32, "frames_per_clip": 4},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 8, "attn_layer_period": 3, "attn_layer_offset": 1,
              "attention_hidden_size": 128, "attention_head_dim": 32},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 3, "hybrid_layer_ids": [1, 3, 5],
               "attention_hidden_size": 128, "attention_head_dim": 32},
    "muse_spark_audio": {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]},
    "nemotron_h": {"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"] * 2},
}
"""Model types whose numbers hang together in a way that no rule sees."""
COMPILED = tuple((re.compile(pattern), number) for pattern, number in RULES)
INDICES = re.compile(r"\w*(index(es)?|indices|layers|layer_ids|layer_idx|ids|hook_ids)")
TOKEN = re.compile(r"\w+_(token_id|token_index|token_ids|bos_id|eos_id|pad_id)|(bos|eos|pad|sep|cls|mask)_token_id")
FIRST = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "decoder_start_token_id": 0, "sep_token_id": 1}


def shrink(config: PreTrainedConfig, level: str = "small") -> PreTrainedConfig:
    """The same sort of configuration with small numbers. Raises what transformers raises for those."""
    if level == "default":
        return config
    names: dict[str, int] = {}
    return type(config)(**_changes(config, level == "small", names))


def _changes(config: PreTrainedConfig, everything: bool, tokens: dict[str, int]) -> dict[str, Any]:
    """What differs from the default, sub-configurations included."""
    values = {name: value for name, value in config.to_dict().items() if not name.startswith("_")}
    depth = max((value for name, value in values.items() if _is_depth(name, value)), default=0)
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = _inner(config, name)
        if inner is not None:
            found[name] = {"model_type": inner.model_type} | _changes(inner, everything, tokens)
        elif name == "rope_parameters" and isinstance(value, dict):
            found[name] = _rope(value, values)
        elif value is None and everything and name in SUPPLIED:
            found[name] = SUPPLIED[name]
        elif (new := _new(name, value, depth, values, everything, tokens)) is not None and new != value:
            found[name] = new
    return found | EXCEPTIONS.get(config.model_type, {}) if everything else found


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


def _new(
    name: str, value: Any, depth: int, values: Mapping[str, Any], everything: bool, tokens: dict[str, int]
) -> Any:
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
    if INDICES.fullmatch(name) and all(isinstance(each, int) and 0 <= each < depth for each in value):
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
