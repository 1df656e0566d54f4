"""More of what the rules do not see: models of one family each, mostly of sound and film."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def _numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


FOUR, FIVE = (32, 32, 32, 32), (16, 16, 16, 32, 32)
CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {
    "AutoencoderKLKVAE": {"channels": 32, "z_channels": 4, "ch_mult": (1, 2), "num_enc_blocks": 1, "num_dec_blocks": 1},
    "AutoencoderKLKVAEAudio": {"encoder_dim": 8, "encoder_rates": [2, 2], "latent_dim": 32, "codebook_dim": 8,
                               "decoder_dim": 32, "decoder_rates": [2, 2], "attn_num_heads": 2},
    "AutoencoderKLKVAEVideo": {"in_channels": 3, "out_ch": 3, "ch": 32, "ch_mult": (1, 1, 1, 1),
                               "num_res_blocks": 1, "z_channels": 4},
    "AutoencoderKLMagvit": {"block_out_channels": (32, 32), "norm_num_groups": 8, "in_channels": 3, "out_channels": 3,
                            "down_block_types": ("SpatialDownBlock3D", "SpatialTemporalDownBlock3D"),
                            "up_block_types": ("SpatialUpBlock3D", "SpatialTemporalUpBlock3D")},
    "AutoencoderKLMiniMaxH3Audio": {"encoder_dim": 8, "encoder_rates": (2, 2), "latent_dim": 32, "latent_channels": 4,
                                    "num_attention_heads": 2, "decoder_dim": 32, "decoder_rates": (2, 2),
                                    "decoder_kernel_sizes": (4, 4)},
    "AutoencoderRAE": {"encoder_hidden_size": 64, "encoder_num_hidden_layers": 2, "decoder_hidden_size": 32,
                       "decoder_num_hidden_layers": 2, "decoder_num_attention_heads": 2, "image_size": 32,
                       "decoder_intermediate_size": 32, "encoder_input_size": 28},
    "AutoencoderSAME": {"patch_size": 16, "encoder_channels": 16, "encoder_c_mults": (2,), "encoder_strides": (4,),
                        "encoder_transformer_depths": (2,), "latent_dim": 8, "dim_heads": 16},
    "BriaFibo2Transformer2DModel": {"injection_layer_ids": (1,), "axes_dims": (8, 8, 8), "min_num_gist_tokens": 4,
                                    "max_num_gist_tokens": 8, "gist_step": 4, "gist_min_text_len": 4,
                                    "gist_max_text_len": 16},
    "Ideogram4Transformer2DModel": {"mrope_section": (4, 4, 4), "llm_features_dim": 16},
    "Kandinsky6SRVAE": {"encoder_block_out_channels": FIVE, "decoder_block_out_channels": FIVE, "latent_channels": 4,
                        "in_channels": 3, "out_channels": 3, "layers_per_block": 1},
    "LongCatAudioDiTVae": {"channels": 16, "c_mults": [1, 2], "strides": [2, 2], "latent_dim": 4, "in_channels": 1,
                           "encoder_latent_dim": 8, "downsampling_ratio": 4},
    "MMAudioVocoder": {"num_mels": 8, "upsample_initial_channel": 32, "upsample_rates": (2, 2),
                       "upsample_kernel_sizes": (4, 4)},
    "MiniMaxMusic3RVQDepthDecoder": {"hidden_size": 64, "num_attention_heads": 2},
    "MiniMaxMusic3Transformer1DModel": {"fourier_embedding_dim": 16, "rotary_dim": 16, "condition_dim": 16},
    "MiniMaxMusic3Vocoder": {"latent_channels": 4, "decoder_input_dim": 16, "decoder_hidden_dim": 32,
                             "upsampling_ratios": (2, 2)},
    "UNet1DModel": {"extra_in_channels": 64},
}  # fmt: skip
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "AnyFlowFARTransformer3DModel": {"hidden_states": _numbers(1, 3, 4, 8, 8), "chunk_partition": [1, 1, 1],
                                     "timestep": torch.full((1, 3), 500.0), "r_timestep": torch.full((1, 3), 250.0)},
    "AutoencoderKLKVAEAudio": {"sample": _numbers(1, 1, 64)},
    "AutoencoderKLKVAEVideo": {"sample": _numbers(1, 3, 5, 32, 32)},
    "AutoencoderKLMagvit": {"sample": _numbers(1, 3, 1, 16, 16)},
    "AutoencoderKLMiniMaxH3Audio": {"sample": _numbers(1, 1, 64)},
    "AutoencoderRAE": {"sample": _numbers(1, 3, 32, 32)},
    "AutoencoderSAME": {"sample": _numbers(1, 2, 256)},
    "BriaFibo2Transformer2DModel": {"hidden_states": _numbers(1, 4, 8, 8),
                                    "encoder_hidden_states": _numbers(1, 2, 6, 16)},
    "Ideogram4Transformer2DModel": {"hidden_states": _numbers(1, 6, 4), "encoder_hidden_states": _numbers(1, 6, 16),
                                    "position_ids": torch.arange(6)[None, :, None].expand(1, 6, 3),
                                    "segment_ids": torch.zeros(1, 6, dtype=torch.long),
                                    "indicator": torch.tensor([[3, 3, 2, 2, 2, 2]])},
    "JoyImageEditPlusTransformer3DModel": {"hidden_states": _numbers(1, 16, 4, 1, 2, 2), "shape_list": [[(1, 4, 4)]]},
    "Kandinsky5Transformer3DModel": {"hidden_states": _numbers(1, 3, 8, 8, 4), "text_rope_pos": torch.arange(6),
                                     "visual_rope_pos": [torch.arange(3), torch.arange(4), torch.arange(4)]},
    "Kandinsky6SRTransformer3DModel": {"hidden_states": _numbers(1, 3, 8, 8, 9)},
    "Kandinsky6SRVAE": {"sample": _numbers(1, 3, 5, 32, 32)},
    "Kandinsky6Transformer3DModel": {"hidden_states": _numbers(1, 3, 8, 8, 9)},
    "LongCatAudioDiTVae": {"sample": _numbers(1, 1, 64)},
    "MMAudioVocoder": {"mel": _numbers(1, 8, 16)},
    "MiniMaxMusic3RVQDepthDecoder": {"inputs_embeds": _numbers(1, 4, 64)},
    "MiniMaxMusic3Transformer1DModel": {
        "hidden_states": _numbers(1, 4, 8),
        "encoder_hidden_states": _numbers(1, 8, 16),
    },
    "MiniMaxMusic3Vocoder": {"latents": _numbers(1, 4, 8)},
    "TransformerTemporalModel": {"num_frames": 1, "encoder_hidden_states": None},
    "UNet1DModel": {"sample": _numbers(1, 4, 256)},
}  # fmt: skip
