"""Tiny random pipelines that few people have: encoders and VQGANs of diffusers' own, calls that draw unseeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers as df
import transformers as hf
from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel
from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP

from .pipelines import VAE, clip_text, clip_tokenizer, sd3, t5_tokenizer
from .rarer import UNET

BLOCKS = ("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock")


def kandinsky() -> df.DiffusionPipeline:
    """kandinsky-community/kandinsky-2-1: the text encoder is a class of diffusers."""
    words = MultilingualCLIP(MCLIPConfig(
        numDims=32, transformerDimensions=32, hidden_size=32, intermediate_size=37, num_attention_heads=4,
        num_hidden_layers=2, vocab_size=300,
    ))  # fmt: skip
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0),
              *((chr(at), -3.0) for at in range(97, 123)), ("<mask>", 0.0)]  # fmt: skip
    unet = df.UNet2DConditionModel(**UNET | {
        "out_channels": 8, "addition_embed_type": "text_image", "encoder_hid_dim_type": "text_image_proj",
        "encoder_hid_dim": 32,
    })  # fmt: skip
    movq = df.VQModel(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4, vq_embed_dim=4,
        up_block_types=("UpDecoderBlock2D",) * 2, num_vq_embeddings=12, norm_type="spatial",
    )  # fmt: skip
    return df.KandinskyPipeline(
        text_encoder=words.eval(), tokenizer=hf.XLMRobertaTokenizer(vocab=pieces, unk_id=3), unet=unet, movq=movq,
        scheduler=df.DDIMScheduler(clip_sample=False),
    )  # fmt: skip


def cascade_decoder() -> df.DiffusionPipeline:
    """stabilityai/stable-cascade: its VQGAN is Würstchen's, which diffusers has put away; -1 heads are none."""
    decoder = df.StableCascadeUNet(
        in_channels=4, out_channels=4, conditioning_dim=32, block_out_channels=(16, 32), num_attention_heads=(-1, 2),
        down_num_layers_per_block=(1, 1), up_num_layers_per_block=(1, 1), down_blocks_repeat_mappers=(1, 1),
        up_blocks_repeat_mappers=(1, 1), block_types_per_layer=(BLOCKS[:2], BLOCKS), effnet_in_channels=4,
        clip_text_pooled_in_channels=32, pixel_mapper_in_channels=3, dropout=(0.0, 0.0),
        timestep_conditioning_type=("sca",), timestep_ratio_embedding_dim=16,
    )  # fmt: skip
    return df.StableCascadeDecoderPipeline(
        decoder=decoder, tokenizer=clip_tokenizer(), text_encoder=clip_text(), latent_dim_scale=4.0,
        scheduler=df.DDPMWuerstchenScheduler(), vqgan=PaellaVQModel(bottleneck_blocks=1, num_vq_embeddings=2),
    )  # fmt: skip


def sd3_controlnet() -> df.DiffusionPipeline:
    """InstantX/SD3-Controlnet-Canny on Stable Diffusion 3."""
    parts = {name: each for name, each in sd3().components.items() if each is not None}
    net = df.SD3ControlNetModel(
        sample_size=8, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=64, caption_projection_dim=32, pooled_projection_dim=64, out_channels=4,
        pos_embed_max_size=8,
    )  # fmt: skip
    return df.StableDiffusion3ControlNetPipeline(controlnet=net, **parts)


def marigold() -> df.DiffusionPipeline:
    """prs-eth/marigold-depth-v1-0: it gives no latents."""
    return df.MarigoldDepthPipeline(
        unet=df.UNet2DConditionModel(**UNET | {"in_channels": 8}), vae=df.AutoencoderKL(latent_channels=4, **VAE),
        scheduler=df.DDIMScheduler(), text_encoder=clip_text(hf.CLIPTextModel), tokenizer=clip_tokenizer(),
        prediction_type="depth", default_denoising_steps=2, default_processing_resolution=0,
    )  # fmt: skip


def consistency() -> df.DiffusionPipeline:
    """openai/diffusers-cd_imagenet64_l2: of a class, and diffusers draws one."""
    unet = df.UNet2DModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=8, norm_num_groups=8, num_class_embeds=10,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    return df.ConsistencyModelPipeline(unet=unet, scheduler=df.CMStochasticIterativeScheduler())


def latte() -> df.DiffusionPipeline:
    """maxin-cn/Latte-1: the words of one prompt alone are cut to their number."""
    transformer = df.LatteTransformer3DModel(
        sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=3, caption_channels=32,
        in_channels=4, cross_attention_dim=24, out_channels=8, attention_bias=True, video_length=16,
        activation_fn="gelu-approximate", norm_type="ada_norm_single", norm_elementwise_affine=False,
    )  # fmt: skip
    t5 = hf.T5EncoderModel(hf.T5Config(vocab_size=32, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4))
    return df.LattePipeline(tokenizer=t5_tokenizer(), text_encoder=t5.eval(), transformer=transformer,
                            vae=df.AutoencoderKL(latent_channels=4, **VAE), scheduler=df.DDIMScheduler())  # fmt: skip


def wan_vae() -> Any:
    return df.AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
                               temperal_downsample=[False, True, True])  # fmt: skip


def vace() -> df.DiffusionPipeline:
    """Wan-AI/Wan2.1-VACE-1.3B-diffusers: its call takes one prompt, and no list of one."""
    transformer = df.WanVACETransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16, text_dim=32, freq_dim=16,
        ffn_dim=32, num_layers=2, rope_max_seq_len=32, vace_layers=[0], vace_in_channels=96,
    )  # fmt: skip
    words = hf.UMT5EncoderModel(hf.UMT5Config(vocab_size=32, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4))
    scheduler = df.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    return df.WanVACEPipeline(transformer=transformer, vae=wan_vae(), text_encoder=words.eval(), scheduler=scheduler,
                              tokenizer=t5_tokenizer())  # fmt: skip


def modelscope() -> df.DiffusionPipeline:
    """ali-vilab/text-to-video-ms-1.7b: its scheduler sees the frames of a film one after another."""
    unet = df.UNet3DConditionModel(
        block_out_channels=(8, 8), layers_per_block=1, sample_size=8, norm_num_groups=2, cross_attention_dim=32,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"), attention_head_dim=4,
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
    )  # fmt: skip
    return df.TextToVideoSDPipeline(
        vae=df.AutoencoderKL(latent_channels=4, **VAE), text_encoder=clip_text(hf.CLIPTextModel), unet=unet,
        tokenizer=clip_tokenizer(), scheduler=df.DDIMScheduler(),
    )  # fmt: skip


RAREST: dict[str, Callable[[], df.DiffusionPipeline]] = {
    "kandinsky": kandinsky, "cascade_decoder": cascade_decoder, "sd3_controlnet": sd3_controlnet,
    "marigold": marigold, "consistency": consistency, "latte": latte, "vace": vace, "modelscope": modelscope,
}  # fmt: skip
