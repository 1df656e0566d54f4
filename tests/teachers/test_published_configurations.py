"""The configurations of real checkpoints, as they are published: described without weights, each as large as its card
says. Values that programs of the makers read (auto_map, ep_size, …) and no class here knows change nothing."""

import json

import pytest

from nexus_host.discovery import Plugins

LLAMA3 = {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
          "rope_type": "llama3"}  # fmt: skip
QWEN2 = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "rms_norm_eps": 1e-6,
         "rope_theta": 1000000.0, "use_sliding_window": False, "sliding_window": 32768, "torch_dtype": "bfloat16",
         "transformers_version": "4.40.1"}  # fmt: skip
PUBLISHED = {
    "qwen2-5-0-5b": QWEN2 | {
        "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True, "max_window_layers": 24,
        "max_position_embeddings": 32768, "use_mrope": False,
    },
    "qwen2-5-coder-7b": QWEN2 | {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False, "max_window_layers": 28,
        "max_position_embeddings": 32768,
    },
    "smollm3-3b": {
        "model_type": "smollm3", "architectures": ["SmolLM3ForCausalLM"], "hidden_size": 2048, "vocab_size": 128256,
        "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 4,
        "no_rope_layer_interval": 4, "no_rope_layers": [1, 1, 1, 0] * 9, "rope_theta": 5000000.0, "rope_scaling": None,
        "layer_types": ["full_attention"] * 36, "max_window_layers": 28, "use_sliding_window": False,
        "sliding_window": None, "pretraining_tp": 2, "tie_word_embeddings": True, "pad_token_id": 128004,
    },
    "glm-4-9b": {
        "model_type": "glm4", "architectures": ["Glm4ForCausalLM"], "hidden_size": 4096, "vocab_size": 151552,
        "intermediate_size": 13696, "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 2,
        "head_dim": 128, "partial_rotary_factor": 0.5, "attention_bias": False, "tie_word_embeddings": False,
        "rope_theta": 10000.0, "eos_token_id": [151329, 151336, 151338], "pad_token_id": 151329,
    },
    "deepseek-v3": {
        "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"],
        "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config",
                     "AutoModel": "modeling_deepseek.DeepseekV3Model",
                     "AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM"},
        "aux_loss_alpha": 0.001, "ep_size": 1, "first_k_dense_replace": 3, "hidden_size": 7168,
        "intermediate_size": 18432, "kv_lora_rank": 512, "moe_intermediate_size": 2048, "moe_layer_freq": 1,
        "n_group": 8, "n_routed_experts": 256, "n_shared_experts": 1, "norm_topk_prob": True,
        "num_attention_heads": 128, "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
        "num_nextn_predict_layers": 1, "pretraining_tp": 1, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "seq_aux": True,
        "topk_group": 4, "topk_method": "noaux_tc", "v_head_dim": 128, "vocab_size": 129280, "rope_theta": 10000,
        "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0,
                         "original_max_position_embeddings": 4096, "type": "yarn"},
        "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                                "weight_block_size": [128, 128]},
        "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    },
    "deepseek-r1-distill-llama-70b": {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8192, "intermediate_size": 28672,
        "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256,
        "head_dim": 128, "rope_theta": 500000.0, "rope_scaling": LLAMA3, "pretraining_tp": 1,
        "tie_word_embeddings": False, "max_position_embeddings": 131072,
    },
    "agentcpm-explore": {
        "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_size": 2560, "intermediate_size": 9728,
        "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 151936, "tie_word_embeddings": True, "rope_theta": 5000000, "rope_scaling": None,
        "max_window_layers": 36, "attention_bias": False,
    },
    "siglip2-so400m": {
        "model_type": "siglip", "architectures": ["SiglipModel"], "initializer_factor": 1.0,
        "text_config": {"model_type": "siglip_text_model", "hidden_size": 1152, "intermediate_size": 4304,
                        "num_attention_heads": 16, "num_hidden_layers": 27, "vocab_size": 256000,
                        "projection_size": 1152, "hidden_act": "gelu_pytorch_tanh"},
        "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
                          "num_attention_heads": 16, "num_hidden_layers": 27, "image_size": 512, "patch_size": 16,
                          "hidden_act": "gelu_pytorch_tanh"},
    },
    "whisper-large-v3": {
        "model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"], "d_model": 1280,
        "encoder_layers": 32, "decoder_layers": 32, "encoder_attention_heads": 20, "decoder_attention_heads": 20,
        "encoder_ffn_dim": 5120, "decoder_ffn_dim": 5120, "num_mel_bins": 128, "vocab_size": 51866,
        "max_source_positions": 1500, "max_target_positions": 448, "begin_suppress_tokens": [220, 50257],
        "median_filter_width": 7, "apply_spec_augment": False, "decoder_start_token_id": 50258,
        "torch_dtype": "float16",
    },
    "llama-3-2-vision": {
        "model_type": "mllama", "architectures": ["MllamaForConditionalGeneration"], "image_token_index": 128256,
        "text_config": {
            "model_type": "mllama_text_model", "hidden_size": 4096, "intermediate_size": 14336, "vocab_size": 128256,
            "num_hidden_layers": 40, "num_attention_heads": 32, "num_key_value_heads": 8, "rope_theta": 500000.0,
            "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38], "rope_scaling": LLAMA3, "torch_dtype": "bfloat16",
        },
        "vision_config": {
            "model_type": "mllama_vision_model", "hidden_size": 1280, "intermediate_size": 5120, "image_size": 560,
            "num_hidden_layers": 32, "num_global_layers": 8, "attention_heads": 16, "patch_size": 14,
            "vision_output_dim": 7680, "max_num_tiles": 4, "intermediate_layers_indices": [3, 7, 15, 23, 30],
            "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]],
        },
    },
}  # fmt: skip
"""Card -> its config.json."""
UNITS = {"M": 1e6, "B": 1e9}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_configuration_is_as_large_as_its_card_says(name, known, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[name]))
    found = Plugins.discover().inspect(str(tmp_path))
    said = known[name]["parameters"]
    digits = len(said[:-1].partition(".")[2])
    assert f"{found.parameters / UNITS[said[-1]]:.{digits}f}{said[-1]}" == said
    assert found.weightless
    assert found.head == PUBLISHED[name]["architectures"][0]
