"""Configurations of diffusers' models, made small by rule: one rule for each sort of number, found by its name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

HEADS, HEAD, WIDTH, TEXT, CHANNELS = 2, 24, 48, 16, 4
"""Attention heads, width of each, of the model, of the text, and channels of the latents."""
RULES: tuple[tuple[str, Any], ...] = (
    (r"approximator_num_channels|timestep_(guidance_)?channels|time_proj_dim|freq_dim|\w*frequency_dim", 16),
    (r"num_layers|num_single_layers|n_layers|depth|num_mmdit_layers|num_single_dit_layers|mmdit_layers|num_hidden_layers"
     r"|num_visual_blocks|num_text_blocks|n_refiner_layers|num_refiner_layers|approximator_layers|perceiver_num_layers"
     r"|num_double_layers|num_refiners|depth_\w+|\w+_depth|num_blocks|num_dense_layers|\w+_num_layers", 2),
    (r"num_attention_heads|num_heads|n_heads|n_kv_heads|num_kv_heads|num_key_value_heads|num_key_value_attention_heads"
     r"|num_cross_attention_heads|kv_heads|\w+_num_attention_heads|\w+_num_heads|block_num_heads|heads", HEADS),
    (r"attention_head_dim|head_dim|cross_attention_head_dim|linear_head_dim|\w+_head_dim|d_kv", HEAD),
    (r"(inner_dim|hidden_size|dim|model_dim|embed_dim|caption_projection_dim|d_model|llm_hidden_size|audio_inner_dim)",
     WIDTH),
    (r"\w*(ffn_dim|ffn_hidden_size|ff_dim|intermediate_size|ffn_inner_hidden_size|d_ff|approximator_hidden_dim)", 32),
    (r"\w*(text_dim|text_embed_dim|text_in_dim|caption_channels|joint_attention_dim|cap_feat_dim|text_embed_2_dim"
     r"|cross_attention_dim|pooled_projection_dim|caption_channel|in_text_dim|in_text_dim2|text_encoder_dim"
     r"|encoder_hidden_size|cond_embed_dim|context_in_dim|text_hidden_dim|text_states_dim|pooled_text_dim)", TEXT),
    (r"(encoder_hidden_states_channels|crossattn_proj_in_channels|text_hidden_size|text_features_dim|txt_dim)", TEXT),
    (r"(time_embed_dim|condition_dim|timestep_embedding_dim|adaln_lora_dim|time_dim|timestep_embed_dim)", 16),
    (r"(in|out|latent|io|cond_in|in_visual|out_visual|audio_in|audio_out)_(channels|dim|channel)|in_dim|out_dim"
     r"|latent_channel|io_channels", CHANNELS),
    (r"sample_size|sample_width|sample_height|input_size|base_height|base_width|image_size", 8),
    (r"sample_frames|num_frames|video_length", 3),
    (r"\w*(max_seq_len(gth)?|max_text_seq_length|max_position_embeddings|max_text_len\w*)", 64),
    (r"\w*pos_embed_max_size|max_pos_embed\w*", 8),
    (r"norm_num_groups", 8),
    (r"(encoder_|decoder_)?(base_dim|base_channels|ch)|\w*hidden_channels|encoder_hidden_size", 32),
    (r"num_(routed_)?experts|n_routed_experts", 4),
    (r"\w*vocab_size|codebook_size|\w*codebook_size", 64),
    (r"num_memory_tokens|img_context_num_tokens|\w*num_tokens", 4),
    (r"layers_per_block", 1),
)
BLOCKS = (32, 64)
OPEN = ("in_channels", "num_attention_heads", "attention_head_dim", "sample_size", "dim")


def shrunk(kind: type[Any], exceptions: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Arguments of a constructor, small; what no rule names stays as it is."""
    parameters = inspect.signature(inspect.unwrap(kind.__init__)).parameters
    found = {}
    for name, each in parameters.items():
        if name in ("self", "kwargs"):
            continue
        default = None if each.default is each.empty else each.default
        if (value := _value(name, default)) is not None:
            found[name] = value
    _stages(found, parameters)
    return found | dict(exceptions)


def _value(name: str, default: Any) -> Any:
    if isinstance(default, (list, tuple)) and re.search("axes|rope_dim|mrope_section", name) and "lens" not in name:
        return _axes(len(default))
    for pattern, value in RULES:
        if re.fullmatch(pattern, name) and (isinstance(default, int) or _needed(name, default)):
            return value
    return None


def _needed(name: str, default: Any) -> bool:
    """Numbers that many classes leave open though the model cannot be without them."""
    return default is None and name in OPEN


def _axes(count: int) -> tuple[int, ...]:
    """Even parts of a head, as many as there are axes."""
    part = HEAD // count // 2 * 2
    return (HEAD - part * (count - 1), *(part,) * (count - 1))


def _stages(found: dict[str, Any], parameters: Mapping[str, inspect.Parameter]) -> None:
    """Convolutional models: of four stages the first and the last, every stage narrower."""
    defaults = {name: each.default for name, each in parameters.items()}
    stages = defaults.get("down_block_types")
    long = isinstance(stages, tuple) and len(stages) > 2
    for name, default in defaults.items():
        if not isinstance(default, (tuple, list)) or not default or "axes" in name:
            continue
        if re.fullmatch(r"(down|up)_block_types", name) and long:
            found[name] = (default[0], default[-1])
        elif re.fullmatch(r"\w*(block_out_channels|channels|dims)", name) and isinstance(default[0], int):
            found[name] = BLOCKS if long and len(default) == len(stages) else tuple(_narrow(each) for each in default)
    heads = defaults.get("num_attention_heads")
    if long and "attention_head_dim" in defaults:
        found["attention_head_dim"] = 8
        found.pop("num_attention_heads", None)
    elif long and heads is not None:
        found["num_attention_heads"] = 4 if isinstance(heads, int) else (2, 4)


def _narrow(width: int) -> int:
    """A quarter of a width, in steps of 32; what is narrow stays."""
    return width if width < 64 else max(32, width // 4 // 32 * 32)
