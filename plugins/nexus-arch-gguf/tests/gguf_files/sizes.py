"""Sizes of the tiny models: what every configuration gets, and groups that several share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VOCABULARY = 320
SIZES: Mapping[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 128,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 32, "shared_expert_intermediate_size": 64, "n_shared_experts": 1,
    "first_k_dense_replace": 1, "num_nextn_predict_layers": 0, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "sliding_window": 8, "n_group": 1, "topk_group": 1,
}  # fmt: skip
"""What every configuration that knows the name gets. Rows are multiples of 32, so that every block type fits."""
MLA: Mapping[str, Any] = {
    "q_lora_rank": 32, "kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16, "v_head_dim": 32,
    "num_key_value_heads": 4, "qk_head_dim": 32,
}  # fmt: skip
DELTA: Mapping[str, Any] = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
    "layer_types": ["linear_attention", "full_attention", "linear_attention", "full_attention"],
}  # fmt: skip
VISION: Mapping[str, Any] = {
    "hidden_size": 32, "embed_dim": 32, "num_hidden_layers": 1, "depth": 1, "num_attention_heads": 2, "num_heads": 2,
    "intermediate_size": 32, "out_hidden_size": 64, "deepstack_visual_indexes": [0], "num_layers": 1, "width": 32,
    "heads": 2, "layers": 1, "fullatt_block_indexes": [0],
}  # fmt: skip
"""A tower that GGUF keeps in another file (mmproj): as small as it gets, and left out of what is written."""
AROUND = ("projector_hidden_size", "out_hidden_size")
"""Fields of a configuration around that of the text."""
SLIDING = ["sliding_attention", "full_attention"] * 2
BERT: Mapping[str, Any] = {"num_key_value_heads": 4}
T5: Mapping[str, Any] = {
    "d_model": 64, "d_kv": 16, "d_ff": 96, "num_heads": 4, "num_layers": 3, "num_decoder_layers": 2,
    "decoder_start_token_id": 0,
}  # fmt: skip
GATED = T5 | {"feed_forward_proj": "gated-gelu"}
PLAIN = {"rope_type": "default", "rope_theta": 1e4}
UNSCALED: Mapping[str, Any] = {
    "embedding_multiplier": 1.0, "lm_head_multiplier": 1.0, "key_multiplier": 1.0, "attention_in_multiplier": 1.0,
    "attention_out_multiplier": 1.0, "ssm_in_multiplier": 1.0, "ssm_out_multiplier": 1.0, "ssm_multipliers": [1.0] * 5,
    "mlp_multipliers": [1.0, 1.0],
}  # fmt: skip
"""Falcon H1 without its multipliers, which the converter folds into the weights."""
YARN: Mapping[str, Any] = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "beta_fast": 32.0,
    "beta_slow": 1.0, "original_max_position_embeddings": 32}  # fmt: skip
MROPE: Mapping[str, Any] = {"rope_parameters": PLAIN | {"mrope_section": [2, 3, 3]}}
