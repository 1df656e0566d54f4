"""Numbers of configurations that hang together in a way that no rule of `shrinking.py` sees, by model type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` over `values`, configurations inside configurations entry by entry unless they are of another type.

    >>> merged({"a": 1, "text_config": {"b": 2}}, {"text_config": {"c": 3}})
    {'a': 1, 'text_config': {'b': 2, 'c': 3}}
    """
    found = dict(values)
    for name, value in more.items():
        old = found.get(name)
        both = name.endswith("config") and isinstance(value, Mapping) and isinstance(old, Mapping)
        same = both and value.get("model_type", old.get("model_type")) == old.get("model_type")
        found[name] = merged(old, value) if same else value
    return found


EXPERTS, CHOSEN, HEAD = 8, 2, 16
RATIOS = (("longratio", 7), ("midratio", 5), ("shortratio", 3))
ROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0}
FLOW: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 2, "condition_dim": 64, "frequency_embedding_size": 32}
SERIES: dict[str, Any] = {
    "prediction_length": 8,
    "context_length": 16,
    "lags_sequence": [1, 2, 3],
    "label_length": 4,
    "moving_average": 5,
    "num_time_features": 2,
}
BLOCKS: dict[str, Any] = {
    **{name: [1, 1, 0] for name in ("reduce_channel", "return_channel")},
    **{f"vertical_long_to_small_conv_{ratio}": [[size, 1], [1, 1], [size // 2, 0]] for ratio, size in RATIOS},
    **{f"horizontal_small_to_long_conv_{ratio}": [[1, size], [1, 1], [0, size // 2]] for ratio, size in RATIOS},
    **{f"symmetric_conv_long_{ratio}": [[size, size], [1, 1], [size // 2, size // 2]] for ratio, size in RATIOS},
}
"""The kernels that PP-OCR publishes: size, stride and padding of each convolution."""
NECK: dict[str, Any] = {
    "intraclass_block_config": BLOCKS,
    "scale_factor_list": [1, 2, 4, 8],
    "kernel_list": [3, 2, 2],
    "backbone_config": {"model_type": "hgnet_v2", "out_indices": [1, 2, 3, 4]},
}
RESNET: dict[str, Any] = {
    "model_type": "resnet",
    "embedding_size": 16,
    "hidden_sizes": [16, 16, 32, 32],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
}
"""What detectors can stand on where timm, their default, is not installed."""
SAM2: dict[str, Any] = {
    "vision_config": {
        "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
        "backbone_config": {"image_size": [256, 256]},
    },
    "prompt_encoder_config": {"image_size": 256},
}
SAM3: dict[str, Any] = {
    "vision_config": {"backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]]},
    "prompt_encoder_config": {"image_size": 56},
}
WIDE = 128
"""Of a tracker: wider than its memory, which is 64 by a number in transformers' code."""
FOLLOWING: dict[str, Any] = {
    "vision_config": {"fpn_hidden_size": WIDE},
    "prompt_encoder_config": {"hidden_size": WIDE},
    "mask_decoder_config": {"hidden_size": WIDE},
    **dict.fromkeys(("memory_attention_hidden_size", "memory_encoder_hidden_size"), WIDE),
    **dict.fromkeys(("mask_downsampler_embed_dim", "memory_fuser_embed_dim"), WIDE),
}
FOLLOWING2: dict[str, Any] = {"image_size": 256, "memory_attention_rope_feat_sizes": [16, 16]}
FOLLOWING3: dict[str, Any] = {"image_size": 56, "memory_attention_rope_feat_sizes": [4, 4]}
EXCEPTIONS: Mapping[str, Mapping[str, Any]] = {
    "align_vision_model": {"image_size": 64},
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
    "dbrx": {
        "d_model": 64,
        "n_heads": 4,
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
        "ffn_config": {"hidden_size": 64, "ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "diffusion_gemma_text": {"num_experts": EXPERTS, "top_k_experts": CHOSEN, "moe_intermediate_size": 32},
    "emu3_vqgan": {"base_channels": 32, "channel_multiplier": [1, 2], "codebook_size": 64},
    "esm": {"mask_token_id": 5, "pad_token_id": 1},
    "fun_asr_nano": {
        "adaptor_config": {
            "hidden_size": 64,
            "num_attention_heads": 4,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "projector_hidden_size": 64,
        }
    },
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "glm4v_moe_text": {"rope_parameters": ROPE | {"mrope_section": [2, 1, 1]}},
    "hunyuan_vl_text": {"rope_parameters": ROPE | {"xdrope_section": [2, 2, 2, 2]}},
    "janus_vqgan": {"base_channels": 32, "channel_multiplier": [1, 2], "num_embeddings": 64},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 3, "num_dense_layers": 1},
    "pocket_tts": {"flow_head_config": FLOW},
    "gradium_phonon_tts": {"flow_head_config": FLOW},
    **{
        name: {"rope_parameters": ROPE | {"mrope_section": [2, 3, 3]}}
        for name in (
            "qwen2_vl_text",
            "qwen2_5_vl_text",
            "paddleocr_vl_text",
            "glm4v_text",
            "glm_ocr_text",
            "glm_image_text",
            "qwen2_5_omni_text",
        )
    },
    **{
        f"vibevoice_acoustic_tokenizer{part}": {"num_filters": 4, "depths": [1] * 7}
        for part in (
            "",
            "_encoder",
            "_decoder",
        )
    },
    "sam_vision_model": {"output_channels": 64},
    "sam_hq_vision_model": {"output_channels": 64},
    "vjepa2": {"crop_size": 32, "frames_per_clip": 4},
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "num_hidden_layers": 8,
        "attn_layer_period": 3,
        "attn_layer_offset": 1,
        "attention_hidden_size": 128,
        "attention_head_dim": 32,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid"] * 3,
        "hybrid_layer_ids": [1, 3, 5],
        "attention_hidden_size": 128,
        "attention_head_dim": 32,
    },
    "nemotron_h": {"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"] * 2},
    **{
        name: {"decoder_in_channels": [64] * 3, "num_queries": 20}
        for name in (
            "d_fine",
            "deimv2",
            "rt_detr",
            "rt_detr_v2",
            "pp_doclayout_v3",
            "pp_doclayout_v4",
        )
    },
    "pp_doclayout_v2": {
        "decoder_in_channels": [64] * 3,
        "num_queries": 20,
        "class_thresholds": [0.5] * 2,
        "class_order": [0, 1],
    },
    **dict.fromkeys(("informer", "time_series_transformer", "autoformer"), SERIES),
    **dict.fromkeys(("pp_ocrv5_server_det", "pp_ocrv6_medium_det"), NECK),
    **{name: {"vision_start_token_id": 3} for name in ("qwen2_5_omni_thinker", "qwen3_omni_moe_thinker")},
    **{name: {"upsample_groups": 64} for name in ("mimi_decoder", "pocket_tts_audio_tokenizer_decoder")},
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense"] + ["sparse"] * 5},
    "depth_pro": {"patch_size": 64, "intermediate_hook_ids": [5, 2]}
    | {f"{part}_model_config": {"image_size": 64, "patch_size": 8} for part in ("image", "patch", "fov")},
    "clap_audio_model": {"patch_embeds_hidden_size": 8, "num_attention_heads": [2, 2, 4, 4]},
    "clvp": {"text_config": {"num_attention_heads": 2}, "speech_config": {"num_attention_heads": 2, "vocab_size": 320}},
    "dots3_note_audio_encoder": {"adapter_input_size": 64, "adapter_out_dim": 64},
    "dots3_note_vision_encoder": {
        "pyramid_num_routed": [-1] * 3 + [4] * 3,
        "adapter_in_dim": 64,
        "adapter_out_dim": 64,
    },
    "efficientloftr": {
        "out_features": [16, 16, 32, 64],
        "stage_num_blocks": [1, 1, 1, 2],
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
    },
    "ernie4_5_vl_moe_text": {"moe_intermediate_size": [64, 32], "rope_parameters": ROPE | {"mrope_section": [3, 3, 2]}},
    "granite4_vision": {"deepstack_layer_map": [[1, 1], [3, 2]], "spatial_target_layers": [2, 3, 4, 5]},
    **{
        name: {"num_queries": 10, "backbone_config": {"image_size": 64}}
        for name in ("grounding-dino", "mm-grounding-dino")
    },
    "oneformer": {"num_queries": 10, "conv_dim": 64,        # of another width its projections lie in a plain list
                  "backbone_config": {"image_size": 64, "out_indices": [1, 2, 3, 4]}},
    "instructblipvideo": {"video_token_index": 300},
    "lw_detr": {"projector_scale_factors": [1.0], "num_queries": 10},
    **{
        name: {"num_queries": 10, "backbone_config": RESNET | {"out_indices": [4]}}
        for name in (
            "detr",
            "conditional_detr",
            "dab-detr",
            "table-transformer",
        )
    },
    "deformable_detr": {"num_queries": 10, "backbone_config": RESNET | {"out_indices": [2, 3, 4]}},
    "mistral4": {"head_dim": 32},
    "moonshine_streaming": {"num_key_value_heads": 4},
    "muse_spark_audio": {
        "patch_sizes": [4, 2, 2, 2, 2, 2],
        "hidden_sizes": [16, 16, 32, 32, 64, 64],
        "depths": [1] * 6,
    },
    **{name: {"quantization_dim": 128} for name in ("neucodec", "xcodec2")},
    "pp_ocrv6_small_det": {
        "layer_list_out_channels": [48, 96, 192, 384],
        "backbone_config": {"model_type": "pp_lcnet_v3", "scale": 0.75, "divisor": 16, "out_indices": [2, 3, 4, 5]},
    },
    "qwen3_omni_moe": {
        "talker_config": {"spatial_merge_size": 2, "text_config": {"shared_expert_intermediate_size": 64}}
    },
    "rf_detr": {"num_queries": 10},
    "sam2": SAM2,
    "sam2_video": merged(merged(SAM2, FOLLOWING), FOLLOWING2),
    "edgetam_video": merged(merged(SAM2, FOLLOWING), FOLLOWING2)
    | {"perceiver_resampler_attention_head_dim": 64, "perceiver_resampler_num_attention_heads": 1},
    "sam2_vision_model": {"backbone_channel_list": [128, 64, 32, 16]},
    "sam2_hiera_det_model": {
        "hidden_size": 16,
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
    },
    "sam3_tracker": SAM3,
    "sam3_tracker_video": merged(merged(SAM3, FOLLOWING), FOLLOWING3),
    "sam3_video": {
        "detector_config": {
            "vision_config": {"fpn_hidden_size": WIDE},
            "detr_decoder_config": {"num_queries": 5, "hidden_size": WIDE},
            **{
                f"{part}_config": {"hidden_size": WIDE}
                for part in ("geometry_encoder", "detr_encoder", "mask_decoder")
            },
        },
        "tracker_config": merged(merged(SAM3, FOLLOWING), FOLLOWING3),
        "low_res_mask_size": 16,
        "score_threshold_detection": 0.05,
        "new_det_thresh": 0.05,
        "hotstart_delay": 0,
    },
    "seggpt": {"merge_index": 1, "image_size": [64, 32], "pretrain_image_size": 32},
    **{name: {"t2u_pad_token_id": 1} for name in ("seamless_m4t", "seamless_m4t_v2")},
    "shieldgemma2": {"yes_token_index": 5, "no_token_index": 6},
    "step3p5": {"sliding_window": 8},
    "superglue": {"hidden_size": 256, "gnn_layers_types": ["self", "cross"] * 3},
    "swin": {"embed_dim": 48},
    "t5gemma2_encoder": {"text_config": {"dropout_rate": 0.0}},
    "tvp": {"max_img_size": 64, "visual_prompt_size": 8, "num_frames": 2},
    "uvdoc_backbone": {"out_indices": [1, 2, 3, 4, 5, 6]},
    "vitmatte": {"fusion_hidden_sizes": [64, 32, 16, 8]},
    "zoedepth": {"bottleneck_features": 64},
}
"""Model type -> what its small configuration says beside the rules; inner configurations are merged."""
STAGES, HALVINGS = 6, [4, 2, 2, 2, 2, 2]
PYRAMID: dict[str, Any] = {
    "num_encoder_blocks": STAGES, "depths": [1] * STAGES, "hidden_sizes": [16, 16, 32, 32, 64, 64], "strides": HALVINGS,
    "num_attention_heads": [1, 1, 2, 2, 4, 4], "mlp_ratios": [2] * STAGES,
}  # fmt: skip
SWIN: dict[str, Any] = {
    "depths": [1] * STAGES,
    "num_heads": [1, 1, 2, 2, 4, 4],
    "embed_dim": 16,
    "image_size": 128,
    "window_size": 1,
}
DEEPER: Mapping[str, Mapping[str, Any]] = {
    "albert": {"num_hidden_groups": STAGES},
    "bit": {"hidden_sizes": [64] * STAGES, "depths": [1] * STAGES},
    "convnext": {"num_stages": STAGES, "hidden_sizes": [16] * STAGES, "depths": [1] * STAGES, "image_size": 128},
    "focalnet": {
        "hidden_sizes": [16] * STAGES,
        "depths": [1] * STAGES,
        "focal_levels": [2] * STAGES,
        "focal_windows": [3] * STAGES,
        "embed_dim": 16,
        "image_size": 128,
    },
    "glpn": PYRAMID | {"sr_ratios": [8, 4, 2, 1, 1, 1], "patch_sizes": [7, 3, 3, 3, 3, 3]},
    "hgnet_v2": {"stage_num_blocks": [STAGES, 1, 1, 1]},
    "hiera": {
        "depths": [1] * STAGES,
        "num_heads": [1] * STAGES,
        "masked_unit_size": [32, 32],
        "embed_dim": 16,
        "masked_unit_attention": [True] * 2 + [False] * 4,
        "image_size": [256, 256],
    },
    "pp_ocrv5_server_rec": {"backbone_config": {"stage_num_blocks": [STAGES, 1, 1, 1]}},
    "pvt": PYRAMID | {"sequence_reduction_ratios": [8, 4, 2, 1, 1, 1], "patch_sizes": HALVINGS, "image_size": 256},
    "pvt_v2": PYRAMID | {"sr_ratios": [8, 4, 2, 1, 1, 1], "patch_sizes": [7, 3, 3, 3, 3, 3], "image_size": 128},
    "segformer": {"depths": [STAGES, 1, 1, 1]},
    "swinv2": SWIN | {"pretrained_window_sizes": [0] * STAGES},
    "textnet": {
        "conv_layer_kernel_sizes": [[[3, 3]]] * STAGES,
        "conv_layer_strides": [[2]] * STAGES,
        "hidden_sizes": [16] * (STAGES + 1),
        "stem_out_channels": 16,
        "image_size": [128, 128],
    },
    "univnet": {
        "resblock_kernel_sizes": [3] * STAGES,
        "resblock_stride_sizes": [2] * STAGES,
        "resblock_dilation_sizes": [[1, 3]] * STAGES,
    },
    **dict.fromkeys(("donut-swin", "maskformer-swin", "swin"), SWIN),
}
"""Model type -> enough stages, groups or blocks to be a stack of six, where no number counts the layers."""
