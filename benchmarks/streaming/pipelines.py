"""Random pipelines of diffusers as they are stored: stable-diffusion-3 (float32), flux, stable-diffusion-xl and
stable-video-diffusion (bfloat16), each about a gigabyte, with their VAE as large as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WIDTH, WORDS, LONGEST = 512, 514, 77
VAE = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 1024,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip


def save(home: Path, how: str) -> None:
    """The whole pipeline."""
    import torch

    torch.manual_seed(0)
    makers = {"sd3": sd3, "flux": flux, "sdxl": sdxl, "svd": svd}
    made = makers[how]()
    made.to(torch.float32 if how == "sd3" else torch.bfloat16).save_pretrained(home)


def sd3() -> Any:
    """Three text encoders, a transformer of two streams."""
    import diffusers as df

    transformer = df.SD3Transformer2DModel(
        sample_size=128, patch_size=2, in_channels=16, num_layers=16, attention_head_dim=64, num_attention_heads=8,
        joint_attention_dim=WIDTH, caption_projection_dim=WIDTH, pooled_projection_dim=WIDTH, out_channels=16,
        pos_embed_max_size=192,
    )  # fmt: skip
    vae = df.AutoencoderKL(latent_channels=16, shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False,
                           use_post_quant_conv=False, **VAE)  # fmt: skip
    return df.StableDiffusion3Pipeline(
        transformer=transformer, scheduler=df.FlowMatchEulerDiscreteScheduler(shift=3.0), vae=vae,
        text_encoder=clip(), tokenizer=letters(), text_encoder_2=clip(), tokenizer_2=letters(),
        text_encoder_3=t5(12), tokenizer_3=pieces(),
    )  # fmt: skip


def flux() -> Any:
    """A CLIP and a T5; blocks of two streams, and of one."""
    import diffusers as df
    import transformers as hf

    transformer = df.FluxTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=4, num_single_layers=8, attention_head_dim=128, num_attention_heads=8,
        joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH // 2, guidance_embeds=True,
    )  # fmt: skip
    vae = df.AutoencoderKL(latent_channels=16, shift_factor=0.1, scaling_factor=0.36, use_quant_conv=False,
                           use_post_quant_conv=False, **VAE)  # fmt: skip
    return df.FluxPipeline(
        transformer=transformer, scheduler=df.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), vae=vae,
        text_encoder=clip(hf.CLIPTextModel), tokenizer=letters(), text_encoder_2=t5(12), tokenizer_2=pieces(),
    )  # fmt: skip


def sdxl() -> Any:
    """A U-Net whose deeper levels are transformers of several blocks."""
    import diffusers as df
    import transformers as hf

    unet = df.UNet2DConditionModel(
        sample_size=128, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(192, 384, 768),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=WIDTH,
        attention_head_dim=(3, 6, 12), transformer_layers_per_block=(1, 2, 6), use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=256 * 6 + WIDTH // 2,
    )  # fmt: skip
    scheduler = df.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading",
    )  # fmt: skip
    return df.StableDiffusionXLPipeline(
        unet=unet, vae=df.AutoencoderKL(latent_channels=4, **VAE), scheduler=scheduler,
        text_encoder=clip(hf.CLIPTextModel), tokenizer=letters(), text_encoder_2=clip(), tokenizer_2=letters(),
    )  # fmt: skip


def svd() -> Any:
    """A U-Net of films, from a picture."""
    import diffusers as df
    import transformers as hf

    unet = df.UNetSpatioTemporalConditionModel(
        sample_size=32, block_out_channels=(128, 256, 512, 512), num_attention_heads=(2, 4, 8, 8), num_frames=8,
        cross_attention_dim=WIDTH,
    )  # fmt: skip
    scheduler = df.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", interpolation_type="linear",
        prediction_type="v_prediction", sigma_max=700.0, sigma_min=0.002, steps_offset=1,
        timestep_spacing="leading", timestep_type="continuous",
    )  # fmt: skip
    vae = df.AutoencoderKLTemporalDecoder(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, sample_size=768,
    )  # fmt: skip
    eyes = hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(
        hidden_size=768, projection_dim=WIDTH, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
        image_size=224, patch_size=14,
    ))  # fmt: skip
    return df.StableVideoDiffusionPipeline(
        unet=unet, vae=vae, scheduler=scheduler, image_encoder=eyes.eval(),
        feature_extractor=hf.CLIPImageProcessorPil(crop_size=224, size=224),
    )  # fmt: skip


def clip(kind: Any = None) -> Any:
    """A text encoder of CLIP."""
    import transformers as hf

    made = (kind or hf.CLIPTextModelWithProjection)(hf.CLIPTextConfig(
        hidden_size=WIDTH // 2, intermediate_size=2 * WIDTH, num_attention_heads=4, num_hidden_layers=12,
        max_position_embeddings=LONGEST, vocab_size=WORDS, bos_token_id=512, eos_token_id=513,
        projection_dim=WIDTH // 2, hidden_act="gelu",
    ))  # fmt: skip
    return made.eval()


def t5(layers: int) -> Any:
    """Its encoder."""
    import transformers as hf

    return hf.T5EncoderModel(hf.T5Config(
        vocab_size=32, d_model=WIDTH, d_kv=64, d_ff=1024, num_layers=layers, num_heads=8,
        feed_forward_proj="gated-gelu",
    ))  # fmt: skip


def letters() -> Any:
    """CLIP's tokenizer, of bytes."""
    import transformers as hf
    from tokenizers.pre_tokenizers import ByteLevel

    every = sorted(ByteLevel.alphabet())
    words = [*every, *(f"{each}</w>" for each in every), "<|startoftext|>", "<|endoftext|>"]
    return hf.CLIPTokenizer(vocab={word: at for at, word in enumerate(words)}, merges=[], model_max_length=LONGEST)


def pieces() -> Any:
    """T5's tokenizer, of letters."""
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers

    known = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0),
             *((chr(at), -3.0) for at in range(97, 123))]  # fmt: skip
    inner = Tokenizer(models.Unigram(known, unk_id=2))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    return hf.T5TokenizerFast(tokenizer_object=inner, extra_ids=0)
