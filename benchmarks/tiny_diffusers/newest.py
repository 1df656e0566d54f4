"""What the rules do not see, of models with inputs of their own: packed sequences, caches, proteins, noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

ATOMS = 5
"""Tokens of a protein."""


def _numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(11))


def _caches(layers: int) -> Any:
    from diffusers.models.transformers.transformer_wan_animate_2 import WanAnimate2KVCache

    return WanAnimate2KVCache(layers)


SEEN = torch.ones(1, ATOMS, dtype=torch.bool)
PROTEIN = {"is_in_context_conditioning": ~SEEN, "supports_local_latent": SEEN}
TIMES = ("time_emb_bb_ca", "time_emb_local_latents")
CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = {
    "AutoencoderKLAllegro": {"block_out_channels": (8, 8), "down_block_types": ("AllegroDownBlock3D",) * 2,
                             "up_block_types": ("AllegroUpBlock3D",) * 2, "layers_per_block": 1,
                             "norm_num_groups": 4, "temporal_downsample_blocks": (True, True),
                             "temporal_upsample_blocks": (True, True), "sample_size": 128, "in_channels": 3,
                             "out_channels": 3, "latent_channels": 4},
    "AutoencoderKLLTX2Video": {"block_out_channels": (16, 32), "decoder_block_out_channels": (32, 64),
                               "latent_channels": 4, "down_block_types": ("LTX2VideoDownBlock3D",) * 2,
                               "layers_per_block": (1, 1, 1), "decoder_layers_per_block": (1, 1, 1),
                               "spatio_temporal_scaling": (True, True), "downsample_type": ("spatial", "temporal"),
                               "decoder_spatio_temporal_scaling": (True, True), "upsample_residual": (False, False),
                               "upsample_type": ("spatiotemporal",) * 2, "upsample_factor": (2, 2), "patch_size": 2,
                               "decoder_inject_noise": (False,) * 3, "in_channels": 3, "out_channels": 3,
                               "decoder_spatial_padding_mode": "zeros"},
    "AutoencoderKLMiniMaxH3": {"in_channels": 3, "out_channels": 3, "latent_channels": 4, "clip_length": 5,
                               "token_drop": 1, "block_out_channels": (32, 32), "layers_per_block": 1,
                               "spatial_downsample_factors": (2, 2), "temporal_downsample_factors": (1, 2),
                               "decoder_num_layers": 2, "decoder_num_attention_heads": 2,
                               "decoder_attention_head_dim": 32, "latents_mean": (0.0,) * 4, "latents_std": (1.0,) * 4},
    "ConsistencyDecoderVAE": {"encoder_block_out_channels": (16, 16), "encoder_norm_num_groups": 8,
                              "encoder_down_block_types": ("DownEncoderBlock2D",) * 2, "encoder_layers_per_block": 1,
                              "encoder_in_channels": 3, "encoder_out_channels": 4, "latent_channels": 4,
                              "decoder_block_out_channels": (16, 16), "decoder_norm_num_groups": 8,
                              "decoder_down_block_types": ("ResnetDownsampleBlock2D",) * 2,
                              "decoder_up_block_types": ("ResnetUpsampleBlock2D",) * 2, "decoder_layers_per_block": 1,
                              "decoder_in_channels": 7, "decoder_out_channels": 6, "sample_size": 32},
    "Cosmos3AVAEAudioTokenizer": {"vocoder_input_dim": 4, "dec_dim": 8, "dec_c_mults": (1, 2), "dec_strides": (2, 4),
                                  "enc_dim": 8, "enc_latent_dim": 8, "enc_c_mults": (1,), "enc_strides": (2,),
                                  "enc_num_blocks": 1, "enc_n_fft": 16, "enc_hop_length": 4, "dec_out_channels": 2},
    "Cosmos3OmniTransformer": {"rope_axes_dim": (4, 4, 4), "vocab_size": 32, "latent_channel": 4, "hidden_size": 48,
                               "latent_patch_size": 2, "patch_latent_dim": 16},
    "HunyuanVideoFramepackTransformer3DModel": {"rope_axes_dim": (8, 8, 8), "has_image_proj": True,
                                                "image_proj_dim": 16, "has_clean_x_embedder": True},
    "Kandinsky3UNet": {"groups": 8, "block_out_channels": (32, 64, 128, 256), "layers_per_block": 2,
                       "time_embedding_dim": 32, "attention_head_dim": 8, "cross_attention_dim": 16,
                       "encoder_hid_dim": 16},
    "LTX2VideoDiffusionDecoderModel": {"latent_channels": 4, "decoder_head_dim": 8, "decoder_t_emb_dim": 16,
                                       "decoder_stage_channels": (64, 32, 16, 16, 8),
                                       "decoder_stage_depths": (1, 1, 1, 1, 1),
                                       "decoder_stage_kernels": ((3, 3, 3),) * 4, "decoder_stage5_kernel": (3, 3, 3),
                                       "out_channels": 3, "patch_size": 4},
    "MMAudioVAE": {"mel_bins": 16, "latent_channels": 4, "hidden_channels": 32, "channel_multipliers": (1, 2),
                   "layers_per_block": 1, "n_fft": 256, "hop_length": 64},
    "MiniMaxH3Transformer3DModel": {"rope_freq_dim": 4, "time_embed_hidden_dim": 32, "time_embed_dim": 16,
                                    "hidden_size": 48, "in_channels": 4, "audio_in_channels": 4, "freq_dim": 16},
    "QwenImage21Transformer2DModel": {"axes_dims_rope": (8, 8, 8)},
    "RFD4ProteinaAutoencoder": {"atom37_mask": [[True] * 37] * 147, "allowed_residue_types": [[True] * 147] * 7,
                                "latent_dim": 8, "nlayers": 2, "token_dim": 48, "nheads": 2, "dim_cond": 16,
                                "pair_repr_dim": 16, "token_type_emb_dim": 8,
                                "encoder_feats_seq": ("token_type", "x1_a37coors_nm"),
                                "decoder_feats_seq": ("ca_coors_nm", "z_latent_seq", "token_type")},
    "RFD4ProteinaTransformer": {"nlayers": 4, "token_dim": 48, "nheads": 2, "dim_cond": 16, "pair_repr_dim": 16,
                                "latent_dim": 8, "token_type_emb_dim": 8, "t_emb_dim": 16, "tri_mult_c": 16,
                                "feats_seq": ("xt_bb_ca", "xt_local_latents", "token_type"), "feats_cond_seq": TIMES,
                                "feats_pair_repr": ("xt_bb_ca_pair_dists",), "feats_pair_cond": TIMES},
    "SanaWMLTX2RefinerTransformer3DModel": {"audio_num_attention_heads": 2, "audio_attention_head_dim": 24,
                                            "cross_attention_dim": 48, "audio_cross_attention_dim": 48,
                                            "caption_channels": 16, "in_channels": 4, "out_channels": 4},
    "SanaWMTransformer3DModel": {"linear_head_dim": 24, "hidden_size": 48, "num_attention_heads": 2, "num_layers": 4,
                                 "image_size": 64, "chunk_plucker_channels": 4},
    "WanAnimate2Transformer3DModel": {"in_dim": 4, "out_dim": 4, "dim": 48, "num_heads": 2, "text_len": 8},
}  # fmt: skip
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "AutoencoderKLAllegro": {"sample": _numbers(1, 3, 24, 128, 128)},
    "AutoencoderKLLTX2Video": {"sample": _numbers(1, 3, 9, 16, 16)},
    "AutoencoderKLMiniMaxH3": {"sample": _numbers(1, 3, 10, 16, 16)},
    "ConsistencyDecoderVAE": {"sample": _numbers(1, 3, 32, 32)},
    "Cosmos3AVAEAudioTokenizer": {"sample": _numbers(1, 2, 64)},
    "Cosmos3OmniTransformer": {
        "input_ids": torch.arange(4), "text_indexes": torch.arange(4), "und_len": 4, "sequence_length": 8,
        "position_ids": torch.arange(8)[None].expand(3, 8), "vision_tokens": [_numbers(1, 4, 1, 4, 4)],
        "vision_token_shapes": [(1, 2, 2)], "vision_sequence_indexes": torch.arange(4, 8),
        "vision_mse_loss_indexes": torch.arange(4, 8), "vision_timesteps": torch.full((4,), 500.0),
        "vision_noisy_frame_indexes": [torch.tensor([0])],
    },
    "HunyuanVideoFramepackTransformer3DModel": {
        "hidden_states": _numbers(1, 4, 3, 8, 8), "image_embeds": _numbers(1, 5, 16),
        "indices_latents": torch.arange(8, 11), "guidance": torch.tensor([3.0]),
        "latents_clean": _numbers(1, 4, 2, 8, 8), "indices_latents_clean": torch.tensor([0, 7]),
        "latents_history_2x": _numbers(1, 4, 2, 8, 8), "indices_latents_history_2x": torch.tensor([5, 6]),
        "latents_history_4x": _numbers(1, 4, 4, 8, 8), "indices_latents_history_4x": torch.tensor([1, 2, 3, 4]),
    },
    "Kandinsky3UNet": {"encoder_attention_mask": torch.ones(1, 6)},
    "LTX2VideoDiffusionDecoderModel": {"z": _numbers(1, 4, 2, 4, 4)},
    "MMAudioVAE": {"sample": _numbers(1, 2048)},
    "MiniMaxH3Transformer3DModel": {
        "hidden_states": _numbers(1, 4, 16), "audio_hidden_states": _numbers(1, 2, 4), "timestep": torch.tensor([0.5]),
        "timestep_indices": torch.zeros(12, dtype=torch.long), "token_tags": torch.tensor([1] * 6 + [0] * 4 + [2] * 2),
        "position_ids": torch.arange(36).reshape(12, 3), "text_indices": torch.arange(6),
        "video_indices": torch.arange(6, 10), "audio_indices": torch.arange(10, 12),
    },
    "QwenImage21Transformer2DModel": {
        "hidden_states": _numbers(1, 16, 4), "img_shapes": [[(1, 4, 4)]],
        "img_mask": torch.tensor([[False] * 6 + [True] * 4]),
    },
    "RFD4ProteinaAutoencoder": {
        "z_latent": _numbers(1, ATOMS, 8), "ca_coors_nm": _numbers(1, ATOMS, 3), "padding_mask": SEEN,
        "token_type": torch.zeros(1, ATOMS, dtype=torch.long), "conditioning": PROTEIN,
        "atom37_mask": torch.ones(1, ATOMS, 37),
    },
    "RFD4ProteinaTransformer": {
        "bb_ca": _numbers(1, ATOMS, 3), "local_latents": _numbers(1, ATOMS, 8), "bb_ca_time": torch.tensor([0.5]),
        "local_latents_time": torch.tensor([0.25]), "padding_mask": SEEN, "conditioning": PROTEIN,
        "token_type": torch.zeros(1, ATOMS, dtype=torch.long), "atom37_mask": torch.ones(1, ATOMS, 37),
    },
    "SanaWMLTX2RefinerTransformer3DModel": {
        "hidden_states": _numbers(1, 16, 4), "video_rotary_emb": (_numbers(1, 16, 48).cos(), _numbers(1, 16, 48).sin()),
        "encoder_hidden_states": _numbers(1, 6, 16), "encoder_attention_mask": torch.ones(1, 6),
    },
    "SanaWMTransformer3DModel": {
        "hidden_states": _numbers(1, 4, 3, 8, 8), "timestep": torch.full((1, 1, 3), 500.0),
        "encoder_hidden_states": _numbers(1, 1, 6, 16), "encoder_attention_mask": torch.ones(1, 6),
    },
    "WanAnimate2Transformer3DModel": {
        "hidden_states": [_numbers(2, 3, 8, 8)], "condition_latents": [_numbers(2, 3, 8, 8)], "kv_cache": _caches(2),
        "encoder_hidden_states": [_numbers(6, 16)], "encoder_hidden_states_image": _numbers(1, 5, 1280),
        "kv_cache_mode": "extract", "seq_len": 48, "offset_grid_sizes": torch.tensor([[3, 4, 4]]),
    },
}  # fmt: skip
TILED = frozenset({"AutoencoderKLAllegro"})
"""VAEs of diffusers that have no way but tile by tile."""
