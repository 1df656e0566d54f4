"""Tiny random pipelines in the layout of the real ones, by what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as df
import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel

CLIP = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 3,
        "max_position_embeddings": 77, "vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513,
        "projection_dim": 32}  # fmt: skip
VAE = {"block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8, "sample_size": 16,
       "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}  # fmt: skip


def clip_tokenizer() -> hf.CLIPTokenizer:
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{each}</w>" for each in letters), "<|startoftext|>", "<|endoftext|>"]
    return hf.CLIPTokenizer(vocab={word: at for at, word in enumerate(words)}, merges=[], model_max_length=77)


def t5_tokenizer() -> hf.PreTrainedTokenizerBase:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((chr(at), -3.0) for at in range(97, 123))]
    inner = Tokenizer(models.Unigram(pieces, unk_id=2))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    return hf.T5TokenizerFast(tokenizer_object=inner, extra_ids=0)


def clip_text(kind: type[Any] = hf.CLIPTextModelWithProjection) -> Any:
    return kind(hf.CLIPTextConfig(hidden_act="gelu", **CLIP)).eval()


def sd3() -> df.DiffusionPipeline:
    """stabilityai/stable-diffusion-3-medium-diffusers."""
    transformer = df.SD3Transformer2DModel(
        sample_size=8, patch_size=1, in_channels=4, num_layers=3, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=64, caption_projection_dim=32, pooled_projection_dim=64, out_channels=4,
        pos_embed_max_size=8,
    )  # fmt: skip
    t5 = hf.T5EncoderModel(hf.T5Config(vocab_size=32, d_model=64, d_kv=8, d_ff=48, num_layers=3, num_heads=4,
                                       feed_forward_proj="gated-gelu"))  # fmt: skip
    vae = df.AutoencoderKL(latent_channels=4, shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False,
                           use_post_quant_conv=False, **VAE)  # fmt: skip
    return df.StableDiffusion3Pipeline(
        transformer=transformer, scheduler=df.FlowMatchEulerDiscreteScheduler(shift=3.0), vae=vae,
        text_encoder=clip_text(), tokenizer=clip_tokenizer(), text_encoder_2=clip_text(),
        tokenizer_2=clip_tokenizer(), text_encoder_3=t5, tokenizer_3=t5_tokenizer(),
    )  # fmt: skip


def svd() -> df.DiffusionPipeline:
    """stabilityai/stable-video-diffusion-img2vid-xt-1-1."""
    unet = df.UNetSpatioTemporalConditionModel(
        sample_size=8, in_channels=8, out_channels=4, block_out_channels=(32, 64), layers_per_block=1, num_frames=3,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=32,
        num_attention_heads=(2, 4), projection_class_embeddings_input_dim=96, addition_time_embed_dim=32,
    )  # fmt: skip
    scheduler = df.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", interpolation_type="linear",
        num_train_timesteps=1000, prediction_type="v_prediction", sigma_max=700.0, sigma_min=0.002, steps_offset=1,
        timestep_spacing="leading", timestep_type="continuous", trained_betas=None, use_karras_sigmas=True,
    )  # fmt: skip
    vae = df.AutoencoderKLTemporalDecoder(block_out_channels=(32, 64), layers_per_block=2, latent_channels=4,
                                          down_block_types=("DownEncoderBlock2D",) * 2, sample_size=16)  # fmt: skip
    eyes = hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(
        hidden_size=32, projection_dim=32, num_hidden_layers=3, num_attention_heads=4, image_size=224,
        intermediate_size=37, patch_size=56,
    ))  # fmt: skip
    return df.StableVideoDiffusionPipeline(
        unet=unet, vae=vae, scheduler=scheduler, image_encoder=eyes.eval(),
        feature_extractor=hf.CLIPImageProcessorPil(crop_size=224, size=224),
    )  # fmt: skip


def unet() -> df.UNet2DConditionModel:
    """The U-Net of Stable Diffusion 1.5."""
    return df.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(32, 64),
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32, attention_head_dim=8,
    )  # fmt: skip


def sd15() -> df.DiffusionPipeline:
    """stable-diffusion-v1-5/stable-diffusion-v1-5."""
    vae = df.AutoencoderKL(latent_channels=4, **VAE)
    return df.StableDiffusionPipeline(
        unet=unet(), vae=vae, scheduler=df.PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1,
        ), text_encoder=clip_text(hf.CLIPTextModel), tokenizer=clip_tokenizer(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def flux() -> df.DiffusionPipeline:
    """black-forest-labs/FLUX.1-dev."""
    transformer = df.FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=64, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    t5 = hf.T5EncoderModel(hf.T5Config(vocab_size=32, d_model=64, d_kv=8, d_ff=48, num_layers=2, num_heads=4))
    vae = df.AutoencoderKL(latent_channels=4, shift_factor=0.1, scaling_factor=0.36, use_quant_conv=False,
                           use_post_quant_conv=False, **VAE)  # fmt: skip
    return df.FluxPipeline(
        transformer=transformer, scheduler=df.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), vae=vae,
        text_encoder=clip_text(hf.CLIPTextModel), tokenizer=clip_tokenizer(), text_encoder_2=t5,
        tokenizer_2=t5_tokenizer(),
    )  # fmt: skip


def wan() -> df.DiffusionPipeline:
    """Wan-AI/Wan2.1-T2V-1.3B-Diffusers."""
    transformer = df.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16, text_dim=32, freq_dim=16,
        ffn_dim=32, num_layers=2, rope_max_seq_len=32,
    )  # fmt: skip
    vae = df.AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
                              temperal_downsample=[False, True, True])  # fmt: skip
    words = hf.UMT5EncoderModel(hf.UMT5Config(vocab_size=32, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4))
    scheduler = df.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    return df.WanPipeline(transformer=transformer, vae=vae, text_encoder=words, tokenizer=t5_tokenizer(),
                          scheduler=scheduler)  # fmt: skip


def cogvideo() -> df.DiffusionPipeline:
    """THUDM/CogVideoX-2b."""
    transformer = df.CogVideoXTransformer3DModel(
        in_channels=4, out_channels=4, num_layers=2, time_embed_dim=8, text_embed_dim=32, sample_width=2,
        sample_height=2, sample_frames=9, max_text_seq_length=16, num_attention_heads=2, attention_head_dim=16,
    )  # fmt: skip
    vae = df.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4, latent_channels=4,
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2,
    )  # fmt: skip
    t5 = hf.T5EncoderModel(hf.T5Config(vocab_size=32, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4))
    return df.CogVideoXPipeline(transformer=transformer, vae=vae, text_encoder=t5, tokenizer=t5_tokenizer(),
                                scheduler=df.CogVideoXDDIMScheduler())  # fmt: skip


PIPELINES: dict[str, Callable[[], df.DiffusionPipeline]] = {
    "sd3": sd3, "svd": svd, "sd15": sd15, "flux": flux, "wan": wan, "cogvideo": cogvideo,
}  # fmt: skip


def save(name: str, folder: Path) -> df.DiffusionPipeline:
    """A pipeline by its name, that of SD 3 in several files."""
    return save_made(PIPELINES[name], folder, max_shard_size="60KB" if name == "sd3" else "5GB")


def save_made(make: Callable[[], df.DiffusionPipeline], folder: Path, **how: Any) -> df.DiffusionPipeline:
    """A pipeline, with other numbers in the place of constants, saved by diffusers."""
    torch.manual_seed(0)
    pipeline = make()
    for module in pipeline.components.values():
        if isinstance(module, torch.nn.Module):
            stir(module)
    pipeline.save_pretrained(folder, **how)
    return pipeline


def stir(module: torch.nn.Module) -> None:
    """Numbers in place of the zeros and ones that some layers begin with."""
    with torch.no_grad():
        for each in module.parameters():
            if each.numel() and float(each.std() if each.numel() > 1 else 0) == 0:
                each.add_(torch.randn_like(each) * 0.05)
