"""Rows of `MODELS` that came later: most are of architectures that gguf 0.19 does not name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .sizes import DELTA, MLA, PLAIN, SLIDING

GRANITE = {"embedding_multiplier": 3.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2, "logits_scaling": 2.0,
           "layer_types": SLIDING, "layer_rope_theta": [1e4, 0, 1e4, 0]}  # fmt: skip
HALF = PLAIN | {"partial_rotary_factor": 0.5}
LAGUNA = {"layer_types": ["full_attention"] + ["sliding_attention"] * 3}
INDEX = {"index_n_heads": 2, "index_head_dim": 32, "index_topk": 8}
STREAMS = MLA | INDEX | {"hc_mult": 2}
QWEN4 = DELTA | {"layer_types": ["linear_attention", "indexed_attention"] * 2, "hc_count": 2, "hc_lowrank": 32,
    "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 32, "indexer_budget": 8,
    "indexer_compress_ratio": 2, "rope_parameters": HALF | {"mrope_section": [2, 1, 1]}}  # fmt: skip

TOWER = {"image_size": 32, "patch_size": 8, "num_channels": 3}

NEWER: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "clip_vision": ("clip", "CLIPVisionModel", TOWER),
    "siglip_vision": ("clip", "SiglipVisionModel", TOWER | {"vision_use_head": False}),
    "pixtral_vision": ("clip", "PixtralVisionModel", TOWER | {"hidden_act": "silu"}),
    "cohere2_moe": ("cohere2moe", "Cohere2MoeForCausalLM", {"layer_types": SLIDING, "expert_selection_fn": "sigmoid",
        "num_shared_experts": 2, "mlp_layer_types": ["dense"] + ["sparse"] * 3, "logit_scale": 0.25,
        "prefix_dense_intermediate_size": 64}),
    "deepseek_ocr2": ("deepseek2-ocr", "DeepseekOcr2ForConditionalGeneration", {"num_key_value_heads": 4,
        "mlp_layer_types": ["dense"] + ["sparse"] * 3, "vision_config": {"sam_config": {"hidden_size": 32,
            "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64, "output_channels": 32,
            "downsample_channels": [32, 32]}, "encoder_config": {"hidden_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32, "head_dim": 16,
            "vocab_size": 32}}}),
    "deepseek_v32": ("deepseek32", "DeepseekV32ForCausalLM", MLA | INDEX),
    "deepseek_v4": ("deepseek4", "DeepseekV4ForCausalLM", INDEX | {"head_dim": 32, "num_key_value_heads": 1,
        "q_lora_rank": 32, "partial_rotary_factor": 0.25, "o_groups": 2, "o_lora_rank": 32, "index_topk": 4,
        "hc_mult": 2, "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8},
        "layer_types": ["sliding_attention", "heavily_compressed_attention", "compressed_sparse_attention",
            "heavily_compressed_attention"], "mlp_layer_types": ["hash_moe", "moe", "moe", "moe"]}),
    "dots3_note": ("dots3note", "Dots3NoteForCausalLM", MLA | INDEX | {"head_dim": 32,
        "layer_types": ["indexed_attention", "sliding_attention"] * 2, "swa_num_attention_heads": 2,
        "swa_num_key_value_heads": 2, "swa_q_lora_rank": 32, "swa_kv_lora_rank": 64, "swa_head_dim": 48,
        "swa_qk_nope_head_dim": 32, "swa_qk_rope_head_dim": 16, "swa_v_head_dim": 32,
        "shared_experts_intermediate_size": 64}),
    "glm5_next": ("glm5-next", "Glm5NextForConditionalGeneration", STREAMS | {"qk_rope_head_dim": 0,
        "qk_nope_head_dim": 32, "index_kpool": 2, "linear_head_dim": 16, "linear_num_heads": 4,
        "layer_types": ["linear_attention", "indexed_attention"] * 2, "mlp_layer_types": ["dense"] + ["sparse"] * 3}),
    "granite_swa": ("granite_swa", "GraniteSWAForCausalLM", GRANITE),
    "granitemoe_swa": ("granite_swa", "GraniteMoeSWAForCausalLM", GRANITE | {"shared_intermediate_size": 64}),
    "hrm_text": ("hrm_text", "HrmTextForCausalLM", {"num_hidden_layers": 2, "embedding_scale": 3.0, "H_cycles": 2,
        "L_cycles": 2}),
    "hy_v3": ("hy_v3", "HYV3ForCausalLM", {}),
    "hy_v4": ("hy_v4", "HYV4ForCausalLM", STREAMS | {"indexer_types": ["full", "full", "shared", "shared"]}),
    "jina_embeddings_v3": ("jina-bert-v3", "JinaEmbeddingsV3Model", {"pad_token_id": 1}),
    "laguna": ("laguna", "LagunaForCausalLM", LAGUNA | {"num_attention_heads_per_layer": [4, 2, 2, 2],
        "moe_routed_scaling_factor": 2.5, "rope_parameters": {"full_attention": HALF | {"rope_theta": 2e4},
            "sliding_attention": PLAIN | {"partial_rotary_factor": 1.0}}}),
    "laguna-element": ("laguna", "LagunaForCausalLM", LAGUNA | {"gating": "per-element"}),
    "mellum": ("mellum", "MellumForCausalLM", {"layer_types": SLIDING, "num_nextn_predict_layers": None,
        "rope_parameters": {"full_attention": PLAIN | {"rope_theta": 2e4}, "sliding_attention": PLAIN}}),
    "minimax_m3": ("minimax-m3", "MiniMaxM3SparseForConditionalGeneration", {"rope_parameters": HALF, "rotary_dim": 8,
        "intermediate_size": 32, "dense_intermediate_size": 96, "shared_intermediate_size": 64, "index_n_heads": 2,
        "index_head_dim": 32, "index_block_size": 4, "index_topk_blocks": 2, "projector_hidden_size": 32,
        "mlp_layer_types": ["dense"] + ["sparse"] * 3,
        "layer_types": ["full_attention"] + ["minimax_m3_sparse"] * 3}),
    "muse_glimmer": ("muse-glimmer", "MuseGlimmerForConditionalGeneration", {"projector_hidden_size": 32,
        "out_hidden_size": 128}),
    "muse_glimmer_assistant": ("dflash", "MuseGlimmerAssistantModel", {"target_layer_ids": [0, 2], "block_size": 4,
        "mask_token_id": 3}),
    "pocket_tts": ("pockettts", "PocketTTSModel", {"num_key_value_heads": 4, "audio_prompt_token_id": 321,
        "audio_latent_token_id": 322, "audio_prompt_bos_token_id": 318, "audio_bos_token_id": 319,
        "flow_head_config": {"condition_dim": 64}}),
    "qwen4_exp": ("qwen4exp", "Qwen4ExpForCausalLM", QWEN4),
    "qwen4_exp-ple": ("qwen4exp", "Qwen4ExpForCausalLM", QWEN4 | {"ple_layer_ids": [1], "ple_embed_dim": 64,
        "heads_per_ngram": 2, "ngram_size": 3, "ngram_vocab_size_base": 50, "make_ngram_vocab_size_divisible_by": 8,
        "split_ngram_parts": 2}),
}  # fmt: skip
"""Sources: `conversion/*.py` of llama.cpp, `@ModelBase.register`. Checked against files of its own converter."""
