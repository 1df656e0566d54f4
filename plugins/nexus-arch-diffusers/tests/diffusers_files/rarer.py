"""Tiny random pipelines whose calls go ways of their own: guidance as an input, guides, other noise or time."""

from __future__ import annotations

from collections.abc import Callable

import diffusers as df
import transformers as hf
from tokenizers.pre_tokenizers import ByteLevel

from .pipelines import VAE, clip_text, clip_tokenizer, sd15, stir, t5_tokenizer

UNET = {"sample_size": 8, "in_channels": 4, "out_channels": 4, "layers_per_block": 1, "block_out_channels": (32, 64),
        "norm_num_groups": 8, "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "cross_attention_dim": 32,
        "attention_head_dim": 8}  # fmt: skip
UNSAFE = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def t5() -> hf.T5EncoderModel:
    return hf.T5EncoderModel(hf.T5Config(vocab_size=32, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)).eval()


def lcm() -> df.DiffusionPipeline:
    """SimianLuo/LCM_Dreamshaper_v7: the U-Net is told the strength of guidance."""
    scheduler = df.LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    return df.LatentConsistencyModelPipeline(
        unet=df.UNet2DConditionModel(time_cond_proj_dim=32, **UNET), vae=df.AutoencoderKL(latent_channels=4, **VAE),
        scheduler=scheduler, text_encoder=clip_text(hf.CLIPTextModel), tokenizer=clip_tokenizer(), **UNSAFE,
    )  # fmt: skip


def zimage() -> df.DiffusionPipeline:
    """Tongyi-MAI/Z-Image-Turbo: samples as a list, guidance at every strength above 0, prompts written over."""
    transformer = df.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, cap_feat_dim=16, axes_dims=[8, 4, 4], axes_lens=[128, 64, 64],
    )  # fmt: skip
    words = hf.Qwen3Model(hf.Qwen3Config(
        hidden_size=16, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=300, head_dim=8,
    ))  # fmt: skip
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = hf.Qwen2Tokenizer(
        vocab={word: at for at, word in enumerate(sorted(ByteLevel.alphabet()))}, merges=[], pad_token=marks[0],
        additional_special_tokens=marks,
    )  # fmt: skip
    tokenizer.chat_template = "{% for m in messages %}<|im_start|>{{m['role']}}\n{{m['content']}}<|im_end|>{% endfor %}"
    vae = df.AutoencoderKL(latent_channels=16, shift_factor=0.1, scaling_factor=0.36, **VAE)
    return df.ZImagePipeline(transformer=transformer, vae=vae, text_encoder=words.eval(), tokenizer=tokenizer,
                             scheduler=df.FlowMatchEulerDiscreteScheduler(shift=3.0))  # fmt: skip


def controlnet() -> df.DiffusionPipeline:
    """lllyasviel/control_v11p_sd15_canny on Stable Diffusion 1.5."""
    guide = {name: value for name, value in UNET.items() if name not in ("sample_size", "out_channels")}
    guide.pop("up_block_types")
    parts = {name: each for name, each in sd15().components.items() if name in (
        "unet", "vae", "text_encoder", "tokenizer", "scheduler")}  # fmt: skip
    net = df.ControlNetModel(conditioning_embedding_out_channels=(16, 32), **guide)
    return df.StableDiffusionControlNetPipeline(controlnet=net, **parts, **UNSAFE)


def guides() -> df.DiffusionPipeline:
    """Two ControlNets on Stable Diffusion 1.5."""
    pipes = [controlnet() for _ in range(2)]
    for each in pipes:
        stir(each.controlnet)
    parts = {name: each for name, each in pipes[0].components.items() if name not in ("controlnet", *UNSAFE)}
    nets = df.MultiControlNetModel([each.controlnet for each in pipes])
    return df.StableDiffusionControlNetPipeline(controlnet=nets, **parts, **UNSAFE)


def img2img() -> df.DiffusionPipeline:
    """Stable Diffusion 1.5, beginning with a picture."""
    parts = {name: each for name, each in sd15().components.items() if name in (
        "unet", "vae", "text_encoder", "tokenizer", "scheduler")}  # fmt: skip
    return df.StableDiffusionImg2ImgPipeline(**parts, **UNSAFE)


def mochi() -> df.DiffusionPipeline:
    """genmo/mochi-1-preview: timesteps count what is clean."""
    transformer = df.MochiTransformer3DModel(
        patch_size=2, num_attention_heads=2, attention_head_dim=8, num_layers=2, pooled_projection_dim=16,
        in_channels=12, text_embed_dim=32, time_embed_dim=4, max_sequence_length=16,
    )  # fmt: skip
    blocks = (32, 32, 32, 32)
    vae = df.AutoencoderKLMochi(encoder_block_out_channels=blocks, decoder_block_out_channels=blocks,
                                layers_per_block=(1,) * 5)  # fmt: skip
    return df.MochiPipeline(transformer=transformer, vae=vae, text_encoder=t5(), tokenizer=t5_tokenizer(),
                            scheduler=df.FlowMatchEulerDiscreteScheduler(invert_sigmas=True))  # fmt: skip


def ltx_i2v() -> df.DiffusionPipeline:
    """Lightricks/LTX-Video, image to video: the first frame is given, and stays as it is at every timestep."""
    transformer = df.LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=4, attention_head_dim=8, cross_attention_dim=32,
        num_layers=2, caption_channels=32,
    )  # fmt: skip
    shapes = dict.fromkeys(("block_out_channels", "decoder_block_out_channels"), (8,) * 4)
    vae = df.AutoencoderKLLTXVideo(
        latent_channels=8, layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5, patch_size=1,
        spatio_temporal_scaling=(True, True, False, False), decoder_spatio_temporal_scaling=(True, True, False, False),
        **shapes,
    )  # fmt: skip
    return df.LTXImageToVideoPipeline(
        transformer=transformer, vae=vae, scheduler=df.FlowMatchEulerDiscreteScheduler(), text_encoder=t5(),
        tokenizer=t5_tokenizer(),
    )  # fmt: skip


def sana_sprint() -> df.DiffusionPipeline:
    """Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers: timesteps are angles."""
    transformer = df.SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=2, num_attention_heads=2, attention_head_dim=4,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=32,
        sample_size=32, guidance_embeds=True, qk_norm="rms_norm_across_heads", timestep_scale=1000.0,
    )  # fmt: skip
    words = hf.Gemma2Model(hf.Gemma2Config(
        vocab_size=32, head_dim=8, hidden_size=32, intermediate_size=16, num_attention_heads=2, num_hidden_layers=2,
        num_key_value_heads=2, sliding_window=2,
    ))  # fmt: skip
    blocks = ("ResBlock", "EfficientViTBlock")
    vae = df.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2, encoder_block_types=blocks, scaling_factor=0.41407,
        decoder_block_types=blocks, encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)), encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1), downsample_block_type="conv", upsample_block_type="interpolate",
    )  # fmt: skip
    return df.SanaSprintPipeline(
        transformer=transformer, vae=vae, text_encoder=words.eval(), tokenizer=t5_tokenizer(),
        scheduler=df.SCMScheduler(prediction_type="trigflow", sigma_data=0.5),
    )  # fmt: skip


def cascade() -> df.DiffusionPipeline:
    """stabilityai/stable-cascade-prior."""
    blocks = ("SDCascadeResBlock", "SDCascadeTimestepBlock")
    prior = df.StableCascadeUNet(
        conditioning_dim=32, block_out_channels=(32, 64), num_attention_heads=(2, 2), down_num_layers_per_block=(1, 1),
        up_num_layers_per_block=(1, 1), clip_image_in_channels=32, clip_text_in_channels=32, in_channels=4,
        clip_text_pooled_in_channels=32, switch_level=(False,), out_channels=4, kernel_size=3, dropout=(0.0, 0.0),
        block_types_per_layer=(blocks, (*blocks, "SDCascadeAttnBlock")), down_blocks_repeat_mappers=(1, 1),
        up_blocks_repeat_mappers=(1, 1), self_attn=False, timestep_ratio_embedding_dim=16,
        timestep_conditioning_type=("sca", "crp"),
    )  # fmt: skip
    return df.StableCascadePriorPipeline(prior=prior, text_encoder=clip_text(), tokenizer=clip_tokenizer(),
                                         scheduler=df.DDPMWuerstchenScheduler())  # fmt: skip


def pixels() -> df.DiffusionPipeline:
    """DeepFloyd/IF-I-M-v1.0: no latents."""
    unet = df.UNet2DConditionModel(
        sample_size=8, layers_per_block=1, block_out_channels=(32, 64), in_channels=3, out_channels=6,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"), norm_num_groups=8,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", cross_attention_dim=32, encoder_hid_dim=32, act_fn="gelu",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), attention_head_dim=8,
        addition_embed_type="text", addition_embed_type_num_heads=2, cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    scheduler = df.DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range")
    return df.IFPipeline(unet=unet, text_encoder=t5(), tokenizer=t5_tokenizer(), scheduler=scheduler, watermarker=None,
                         **UNSAFE)  # fmt: skip


RARER: dict[str, Callable[[], df.DiffusionPipeline]] = {
    "lcm": lcm, "zimage": zimage, "controlnet": controlnet, "img2img": img2img, "mochi": mochi,
    "ltx_i2v": ltx_i2v, "sana_sprint": sana_sprint, "cascade": cascade, "pixels": pixels,
}  # fmt: skip
