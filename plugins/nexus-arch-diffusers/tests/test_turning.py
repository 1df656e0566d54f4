"""What a denoiser's block has at one time, which turns what attention asks and looks up."""

from __future__ import annotations

import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel
from nexus_arch_diffusers.streams import hidden_first
from nexus_arch_diffusers.turning import turning


def test_the_largest_block_says_it() -> None:
    """FLUX's two streams hold eleven widths, its one stream fifteen. However its streams are swapped."""
    with torch.device("meta"):
        module = FluxTransformer2DModel(num_layers=1, num_single_layers=1, attention_head_dim=32, num_attention_heads=4,
                                        axes_dims_rope=(8, 12, 12), joint_attention_dim=64,
                                        pooled_projection_dim=64)  # fmt: skip
    two, one = "transformer_blocks.0", "single_transformer_blocks.0"
    hidden_first(module, [two, one])
    assert 10 * 128 < turning(module, [two]) < 13 * 128
    assert 14 * 128 < turning(module, [one]) < 17 * 128
    assert turning(module, [two, one]) == turning(module, [two]), "the next one is there with it"


def test_what_turns_nothing_is_not_known() -> None:
    with torch.device("meta"):
        module = SD3Transformer2DModel(num_layers=1, attention_head_dim=8, num_attention_heads=2, sample_size=8,
                                       caption_projection_dim=16, joint_attention_dim=16, pooled_projection_dim=16,
                                       pos_embed_max_size=8)  # fmt: skip
    assert turning(module, ["transformer_blocks.0"]) == 0
