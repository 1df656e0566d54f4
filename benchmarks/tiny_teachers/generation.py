"""Images and films from text: pipelines as diffusers saves them; the denoiser is compared with diffusers' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from torch import nn

from .parts import ENDS, SMALL, jittered, sample, tokenizer
from .tiny import Tiny

CLIP = {**SMALL, "vocab_size": 320, "projection_dim": 32, "max_position_embeddings": 77, **ENDS}
SIDE = {"block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8, "sample_size": 16,
        "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}  # fmt: skip


def _clip() -> Any:
    return jittered(hf.CLIPTextModelWithProjection(hf.CLIPTextConfig(hidden_act="gelu", **CLIP)))


def sd3(folder: Path) -> nn.Module:
    """Diffusion transformer, three text encoders, VAE, scheduler."""
    import diffusers as df

    torch.manual_seed(0)
    transformer = df.SD3Transformer2DModel(
        sample_size=8, patch_size=1, in_channels=4, num_layers=3, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=64, caption_projection_dim=32, pooled_projection_dim=64, out_channels=4,
        pos_embed_max_size=8,
    )  # fmt: skip
    t5 = hf.T5EncoderModel(hf.T5Config(vocab_size=320, d_model=64, d_kv=8, d_ff=48, num_layers=3, num_heads=4,
                                       feed_forward_proj="gated-gelu"))  # fmt: skip
    vae = df.AutoencoderKL(latent_channels=4, use_quant_conv=False, use_post_quant_conv=False, **SIDE)
    pipeline = df.StableDiffusion3Pipeline(
        transformer=jittered(transformer), scheduler=df.FlowMatchEulerDiscreteScheduler(shift=3.0), vae=vae,
        text_encoder=_clip(), tokenizer=tokenizer(model_max_length=77), text_encoder_2=_clip(),
        tokenizer_2=tokenizer(model_max_length=77), text_encoder_3=t5, tokenizer_3=tokenizer(model_max_length=77),
    )  # fmt: skip
    pipeline.save_pretrained(folder, max_shard_size="60KB")
    return Steps(transformer.eval())


def svd(folder: Path) -> nn.Module:
    """U-Net over space and time, image encoder, VAE, scheduler."""
    import diffusers as df

    torch.manual_seed(0)
    unet = df.UNetSpatioTemporalConditionModel(
        sample_size=8, in_channels=8, out_channels=4, block_out_channels=(32, 64), layers_per_block=1, num_frames=3,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=32,
        num_attention_heads=(2, 4), projection_class_embeddings_input_dim=96, addition_time_embed_dim=32,
    )  # fmt: skip
    vae = df.AutoencoderKLTemporalDecoder(block_out_channels=(32, 64), layers_per_block=2, latent_channels=4,
                                          down_block_types=("DownEncoderBlock2D",) * 2, sample_size=16)  # fmt: skip
    eyes = hf.CLIPVisionModelWithProjection(
        hf.CLIPVisionConfig(**SMALL, projection_dim=32, image_size=224, patch_size=56)
    )
    pipeline = df.StableVideoDiffusionPipeline(
        unet=jittered(unet), vae=vae, scheduler=df.EulerDiscreteScheduler(prediction_type="v_prediction"),
        image_encoder=eyes, feature_extractor=hf.CLIPImageProcessorPil(crop_size=224, size=224),
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return Steps(unet.eval())


class Steps(nn.Module):
    """The reference: samples and their timesteps as rows of one batch."""

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        for name, module in denoiser.named_children():
            self.add_module(name, module)
        self.run = denoiser.forward

    def forward(self, **arguments: Any) -> Any:
        """What is denoised and its timesteps [B, S, ...], conditions [B, ...] -> the prediction [B * S, ...]."""
        return self.run(
            **{
                name: value.flatten(0, 1) if name in ("hidden_states", "sample", "timestep") else value
                for name, value in arguments.items()
            }
        )


def _arrays(**shapes: tuple[int, ...]) -> list[Any]:
    generator = np.random.default_rng(0)
    rows = []
    for step in (900.0, 300.0):
        row = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        rows.append(sample(timestep=step, **row))
    return rows


ROWS = (
    Tiny(name="stable-diffusion-3-medium", stands_for="stabilityai/stable-diffusion-3-medium-diffusers", build=sd3,
         inner="#transformer", needs="diffusers", last=True,
         samples=lambda: _arrays(hidden_states=(4, 8, 8), encoder_hidden_states=(12, 64), pooled_projections=(64,)),
         checked="a saved pipeline, sharded; the diffusion transformer at two timesteps",
         absent="what runs the pipeline's text encoders and VAE is compared in nexus-arch-diffusers' own tests"),
    Tiny(name="svd-xt-1-1", stands_for="stabilityai/stable-video-diffusion-img2vid-xt-1-1", build=svd, inner="#unet",
         needs="diffusers",
         samples=lambda: _arrays(sample=(3, 8, 8, 8), encoder_hidden_states=(1, 32), added_time_ids=(3,)),
         checked="a saved pipeline; the U-Net at two timesteps, stage by stage",
         absent="what runs the image encoder and VAE is compared in nexus-arch-diffusers' own tests"),
)  # fmt: skip
