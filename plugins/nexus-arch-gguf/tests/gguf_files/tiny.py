"""Tiny random models of every architecture that llama.cpp's converter writes and transformers has a class for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import transformers as hf
from transformers import PreTrainedModel

from .newer import NEWER
from .sizes import (
    AROUND,
    BERT,
    DELTA,
    GATED,
    MLA,
    MROPE,
    PLAIN,
    SIZES,
    SLIDING,
    T5,
    UNSCALED,
    VISION,
    VOCABULARY,
    YARN,
)

MODELS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    # name of the row: (GGUF architecture, class, what differs from SIZES)
    "afmoe": ("afmoe", "AfmoeForCausalLM", {"num_dense_layers": 1, "num_shared_experts": 1,
        "mup_enabled": True}),
    "apertus": ("apertus", "ApertusForCausalLM", {}),
    "arcee": ("arcee", "ArceeForCausalLM", {}),
    "bert": ("bert", "BertModel", BERT),
    "roberta": ("bert", "RobertaModel", BERT | {"pad_token_id": 1, "max_position_embeddings": 130}),
    "xlm-roberta": ("bert", "XLMRobertaModel", BERT | {"pad_token_id": 1, "max_position_embeddings": 130}),
    "camembert": ("bert", "CamembertModel", BERT | {"pad_token_id": 1, "max_position_embeddings": 130}),
    "distilbert": ("bert", "DistilBertModel", {"dim": 64, "hidden_dim": 96, "n_layers": 3, "n_heads": 4}),
    "bitnet": ("bitnet", "BitNetForCausalLM", {"tie_word_embeddings": True}),
    "bloom": ("bloom", "BloomForCausalLM", {"n_head": 4, "n_layer": 3}),
    "chameleon": ("chameleon", "ChameleonForConditionalGeneration", {"num_key_value_heads": 4,
        "vocabulary_map": {"<image>": 8}, "vq_config": {"embed_dim": 32, "num_embeddings": 16, "base_channels": 32,
            "channel_multiplier": [1, 1], "num_res_blocks": 1, "latent_channels": 32}}),
    "glm": ("chatglm", "GlmForCausalLM", {"rms_norm_eps": 1e-5, "max_position_embeddings": 64}),
    "cohere2": ("cohere2", "Cohere2ForCausalLM", {}),
    "cohere": ("command-r", "CohereForCausalLM", {}),
    "dbrx": ("dbrx", "DbrxForCausalLM", {"d_model": 64, "n_heads": 4, "n_layers": 3, "max_seq_len": 128,
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 1e4},
        "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 64}}),
    "deepseek_v2": ("deepseek2", "DeepseekV2ForCausalLM", MLA),
    "deepseek_v3": ("deepseek2", "DeepseekV3ForCausalLM", MLA),
    "glm4_moe_lite": ("deepseek2", "Glm4MoeLiteForCausalLM", MLA),
    "youtu": ("deepseek2", "YoutuForCausalLM", MLA),
    "deepseek_v3-yarn": ("deepseek2", "DeepseekV3ForCausalLM", MLA | {"rope_parameters": YARN | {
        "mscale": 1.0, "mscale_all_dim": 1.0}}),
    "qwen2-yarn": ("qwen2", "Qwen2ForCausalLM", {"rope_parameters": YARN}),
    "phi3-long": ("phi3", "Phi3ForCausalLM", {"sliding_window": None, "original_max_position_embeddings": 16,
        "rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 16,
            "long_factor": [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0], "short_factor": [1.0, 1.25] * 4}}),
    "dots1": ("dots1", "Dots1ForCausalLM", {}),
    "ernie4_5": ("ernie4_5", "Ernie4_5ForCausalLM", {}),
    "ernie4_5_moe": ("ernie4_5-moe", "Ernie4_5_MoeForCausalLM", {"moe_num_experts": 4, "moe_k": 2,
        "moe_num_shared_experts": 1, "moe_layer_start_index": 1}),
    "eurobert": ("eurobert", "EuroBertModel", {"num_key_value_heads": 4}),
    "exaone4": ("exaone4", "Exaone4ForCausalLM", {}),
    "exaone_moe": ("exaone-moe", "ExaoneMoeForCausalLM", {"num_shared_experts": 1}),
    "falcon-7b": ("falcon", "FalconForCausalLM", {"new_decoder_architecture": False, "multi_query": True,
        "num_kv_heads": 1}),
    "falcon-40b": ("falcon", "FalconForCausalLM", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon_h1": ("falcon-h1", "FalconH1ForCausalLM", {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16,
        "mamba_n_groups": 1, "mamba_d_state": 16, "mamba_chunk_size": 16} | UNSCALED),
    "gemma": ("gemma", "GemmaForCausalLM", {}),
    "gemma2": ("gemma2", "Gemma2ForCausalLM", {"query_pre_attn_scalar": 16}),
    "gemma3": ("gemma3", "Gemma3ForCausalLM", {"query_pre_attn_scalar": 16, "num_hidden_layers": 7}),
    "gemma-embedding": ("gemma-embedding", "Gemma3TextModel", {"use_bidirectional_attention": True,
        "query_pre_attn_scalar": 16}),
    "gemma3n": ("gemma3n", "Gemma3nForCausalLM", {"vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 32, "num_kv_shared_layers": 0, "laurel_rank": 32,
        "intermediate_size": [96] * 5, "num_hidden_layers": 5,
        "activation_sparsity_pattern": [0.95, 0.95, 0.0, 0.0, 0.0]}),
    "gemma4": ("gemma4", "Gemma4ForCausalLM", {"vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 32, "num_kv_shared_layers": 1, "global_head_dim": 32, "layer_types": SLIDING}),
    "gemma4_moe": ("gemma4", "Gemma4ForCausalLM", {"hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0,
        "global_head_dim": 32, "layer_types": SLIDING, "enable_moe_block": True, "top_k_experts": 2}),
    "glm4": ("glm4", "Glm4ForCausalLM", {}),
    "glm4_moe": ("glm4moe", "Glm4MoeForCausalLM", {}),
    "solar_open": ("glm4moe", "SolarOpenForCausalLM", {"rope_parameters": PLAIN | {"partial_rotary_factor": 1.0}}),
    "glm_moe_dsa": ("glm-dsa", "GlmMoeDsaForCausalLM", MLA | {"index_n_heads": 2, "index_head_dim": 32,
        "index_topk": 64}),
    "gpt_oss": ("gpt-oss", "GptOssForCausalLM", {"layer_types": SLIDING}),
    "gpt2": ("gpt2", "GPT2LMHeadModel", {"n_embd": 64, "n_head": 4, "n_layer": 3, "n_positions": 128}),
    "gpt_neox": ("gptneox", "GPTNeoXForCausalLM", {}),
    "granite": ("granite", "GraniteForCausalLM", {"embedding_multiplier": 3.0, "residual_multiplier": 0.5,
        "attention_multiplier": 0.2, "logits_scaling": 2.0}),
    "granitemoe": ("granitemoe", "GraniteMoeForCausalLM", {"attention_multiplier": 0.2}),
    "granitemoeshared": ("granitemoe", "GraniteMoeSharedForCausalLM", {"shared_intermediate_size": 64}),
    "granitemoehybrid": ("granitehybrid", "GraniteMoeHybridForCausalLM", {"mamba_n_heads": 8, "mamba_d_head": 16,
        "mamba_n_groups": 1, "mamba_d_state": 16, "mamba_expand": 2, "shared_intermediate_size": 64,
        "layer_types": ["mamba", "attention"] * 2}),
    "bamba": ("granitehybrid", "BambaForCausalLM", {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 1,
        "mamba_d_state": 16, "mamba_expand": 2, "attn_layer_indices": [1]}),
    "hunyuan_v1_dense": ("hunyuan-dense", "HunYuanDenseV1ForCausalLM", {}),
    "hunyuan_v1_moe": ("hunyuan-moe", "HunYuanMoEV1ForCausalLM", {"moe_topk": 2}),
    "hunyuan_vl": ("hunyuan_vl", "HunYuanVLForConditionalGeneration", {
        "rope_parameters": PLAIN | {"mrope_section": [2, 2, 2, 2]}}),
    "jais2": ("jais2", "Jais2ForCausalLM", {"num_key_value_heads": 4}),
    "jamba": ("jamba", "JambaForCausalLM", {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2,
        "expert_layer_offset": 1, "mamba_d_state": 16, "mamba_dt_rank": 32}),
    "kimi_linear": ("kimi-linear", "KimiLinearForCausalLM", MLA | {"q_lora_rank": None, "linear_head_dim": 16,
        "linear_num_heads": 4, "layer_types": ["linear_attention", "full_attention"] * 2}),
    "lfm2": ("lfm2", "Lfm2ForCausalLM", {"layer_types": ["conv", "full_attention"] * 2,
        "block_auto_adjust_ff_dim": False}),
    "lfm2_moe": ("lfm2moe", "Lfm2MoeForCausalLM", {"layer_types": ["conv", "full_attention"] * 2,
        "num_dense_layers": 1}),
    "llama": ("llama", "LlamaForCausalLM", {}),
    "llama3": ("llama", "LlamaForCausalLM", {"head_dim": 32, "attention_bias": True, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}),
    "mistral": ("llama", "MistralForCausalLM", {"sliding_window": None}),
    "mixtral": ("llama", "MixtralForCausalLM", {"sliding_window": None}),
    "llama4": ("llama4", "Llama4ForCausalLM", {"intermediate_size": 32, "intermediate_size_mlp": 96,
        "interleave_moe_layer_step": 2}),
    "mamba": ("mamba", "MambaForCausalLM", {"state_size": 16, "time_step_rank": 32, "intermediate_size": 128}),
    "falcon_mamba": ("mamba", "FalconMambaForCausalLM", {"state_size": 16, "time_step_rank": 32,
        "intermediate_size": 128}),
    "mamba2": ("mamba2", "Mamba2ForCausalLM", {"num_heads": 8, "state_size": 16, "n_groups": 1, "expand": 2}),
    "mimo_v2_flash": ("mimo2", "MiMoV2FlashForCausalLM", {"layer_types": SLIDING, "v_head_dim": 16, "rope_parameters": {
        "full_attention": PLAIN | {"partial_rotary_factor": 0.5},
        "sliding_attention": PLAIN | {"partial_rotary_factor": 0.5}}}),
    "minicpm3": ("minicpm3", "MiniCPM3ForCausalLM", MLA),
    "minimax_m2": ("minimax-m2", "MiniMaxM2ForCausalLM", {"intermediate_size": 32,
        "rope_parameters": PLAIN | {"partial_rotary_factor": 0.5}}),
    "ministral3": ("mistral3", "Ministral3ForCausalLM", {"sliding_window": None, "rope_parameters": PLAIN | {
        "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 16}}),
    "ministral3-yarn": ("mistral3", "Ministral3ForCausalLM", {"sliding_window": None, "rope_parameters": YARN | {
        "llama_4_scaling_beta": 0.1, "mscale": 1.0, "mscale_all_dim": 1.0}}),
    "mistral4": ("mistral4", "Mistral4ForCausalLM", MLA | {"head_dim": 32, "rope_parameters": YARN | {
        "llama_4_scaling_beta": 0.1, "mscale": 1.0, "mscale_all_dim": 1.0}}),
    "modernbert": ("modern-bert", "ModernBertModel", {"num_hidden_layers": 4, "local_attention": 16}),
    "mpt": ("mpt", "MptForCausalLM", {"d_model": 64, "n_heads": 4, "n_layers": 3}),
    "nemotron": ("nemotron", "NemotronForCausalLM", {}),
    "nemotron_h": ("nemotron_h", "NemotronHForCausalLM", {"mamba_num_heads": 8, "mamba_head_dim": 16, "n_groups": 1,
        "ssm_state_size": 16, "layers_block_type": ["mamba", "mlp", "attention", "mlp"]}),
    "nemotron_h_moe": ("nemotron_h_moe", "NemotronHForCausalLM", {"mamba_num_heads": 8, "mamba_head_dim": 16,
        "n_groups": 1, "ssm_state_size": 16, "layers_block_type": ["mamba", "moe", "attention", "mlp"]}),
    "nomic_bert": ("nomic-bert", "NomicBertModel", {"num_key_value_heads": 4}),
    "olmo": ("olmo", "OlmoForCausalLM", {}),
    "olmo2": ("olmo2", "Olmo2ForCausalLM", {}),
    "olmo3": ("olmo2", "Olmo3ForCausalLM", {"layer_types": SLIDING}),
    "olmoe": ("olmoe", "OlmoeForCausalLM", {"num_key_value_heads": 4}),
    "paddleocr_vl": ("paddleocr", "PaddleOCRVLForConditionalGeneration", MROPE),
    "phi": ("phi2", "PhiForCausalLM", {"num_key_value_heads": 4}),
    "phi3": ("phi3", "Phi3ForCausalLM", {"sliding_window": None}),
    "phimoe": ("phimoe", "PhimoeForCausalLM", {"sliding_window": None}),
    "qwen2": ("qwen2", "Qwen2ForCausalLM", {}),
    "qwen2_moe": ("qwen2moe", "Qwen2MoeForCausalLM", {}),
    "qwen2_vl": ("qwen2vl", "Qwen2VLForConditionalGeneration", MROPE),
    "qwen2_5_vl": ("qwen2vl", "Qwen2_5_VLForConditionalGeneration", MROPE),
    "qwen3": ("qwen3", "Qwen3ForCausalLM", {"head_dim": 32}),
    "qwen3_5": ("qwen35", "Qwen3_5ForCausalLM", DELTA),
    "qwen3_5_moe": ("qwen35moe", "Qwen3_5MoeForCausalLM", DELTA),
    "qwen3_moe": ("qwen3moe", "Qwen3MoeForCausalLM", {"head_dim": 32, "norm_topk_prob": True}),
    "qwen3_next": ("qwen3next", "Qwen3NextForCausalLM", DELTA),
    "qwen3_vl": ("qwen3vl", "Qwen3VLForConditionalGeneration", MROPE),
    "qwen3_vl_moe": ("qwen3vlmoe", "Qwen3VLMoeForConditionalGeneration", MROPE),
    "seed_oss": ("seed_oss", "SeedOssForCausalLM", {}),
    "smollm3": ("smollm3", "SmolLM3ForCausalLM", {"no_rope_layers": [1, 1, 1, 0]}),
    "stablelm": ("stablelm", "StableLmForCausalLM", {}),
    "stablelm-12b": ("stablelm", "StableLmForCausalLM", {"qk_layernorm": True, "use_parallel_residual": True}),
    "starcoder": ("starcoder", "GPTBigCodeForCausalLM", {"n_embd": 64, "n_head": 4, "n_layer": 3, "n_positions": 128}),
    "starcoder2": ("starcoder2", "Starcoder2ForCausalLM", {"sliding_window": None}),
    "step3p7": ("step35", "Step3p7ForConditionalGeneration", {}),
    "t5": ("t5", "T5ForConditionalGeneration", T5),
    "t5-v1_1": ("t5", "T5ForConditionalGeneration", GATED | {"tie_word_embeddings": False}),
    "umt5": ("t5", "UMT5ForConditionalGeneration", GATED),
    "t5encoder": ("t5encoder", "T5EncoderModel", GATED),
    "umt5encoder": ("t5encoder", "UMT5EncoderModel", GATED),
    **NEWER,
}  # fmt: skip
"""Sources: `conversion/*.py` of llama.cpp, `@ModelBase.register`."""


def config_of(name: str, **more: Any) -> Any:
    """The tiny configuration of a row; classes with a text tower get the sizes there."""
    _, head, special = MODELS[name]
    kind = getattr(hf, head).config_class
    wanted = {**SIZES, **special, **more}
    parts = getattr(kind, "sub_configs", None) or {}
    if "text_config" in parts:
        towers = {name: special.get(name, VISION) for name in parts if name == "vision_config"}
        around = {key: value for key, value in wanted.items() if key.endswith("token_id") or key in AROUND}
        return kind(text_config=_known(parts["text_config"], wanted, special), **towers, **around)
    return kind(**_known(kind, wanted, special))


def _known(kind: Any, wanted: Mapping[str, Any], special: Mapping[str, Any]) -> dict[str, Any]:
    """Of the wanted values those that a configuration class has, and those that are asked for by name."""
    example = kind()
    example.allow_global_per_layer_attribute_access = True
    fixed = {key for key in wanted if isinstance(found := getattr(kind, key, None), property) and found.fset is None}
    return {
        key: value for key, value in wanted.items() if key in special or (hasattr(example, key) and key not in fixed)
    }


def model_of(name: str, **more: Any) -> PreTrainedModel:
    """The tiny model, every weight random: also norms and biases, so that nothing passes by being one or zero."""
    torch.manual_seed(0)
    config = config_of(name, **more)
    model: PreTrainedModel = getattr(hf, MODELS[name][1])(config)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if tensor.is_floating_point() and "A_log" not in key and tensor.numel() > 1:
                tensor.add_(torch.randn_like(tensor) * 0.05)
    _as_released(name, model)
    if name == "t5-v1_1":
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.05)
    return model.float().eval()


def _as_released(name: str, model: PreTrainedModel) -> None:
    """What every released checkpoint has, and the file format leaves out because of it."""
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            if name == "chameleon" and key.rpartition(".")[0].endswith(("q_norm", "k_norm")):
                tensor.copy_(tensor[:1].expand_as(tensor))
            if name == "pocket_tts" and key in ("bos_latent", "audio_latent_proj.weight"):
                tensor.zero_()                              # the start of sound: projected elsewhere
            if name in ("roberta", "xlm-roberta") and key.endswith("position_embeddings.weight"):
                tensor[:2] = 0.0
        for key, tensor in model.named_buffers():
            if key.endswith("tid2eid"):
                tensor.copy_(torch.randint(4, tensor.shape))
