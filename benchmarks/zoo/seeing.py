"""What makes states or classes of a picture."""

from __future__ import annotations

import transformers as hf

from .kind import Made, kind
from .parts import LARGE, SO400M, shortest, square, words
from .samples import picture, read

CLIP_WORDS = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
              "vocab_size": 49408}  # fmt: skip


@kind(picture)
def vit_large() -> Made:
    """google/vit-large-patch16-224, whole."""
    return hf.ViTForImageClassification(hf.ViTConfig(**LARGE)), hf.ViTImageProcessorPil()


@kind(picture, read)
def clip_large() -> Made:
    """openai/clip-vit-large-patch14, whole."""
    config = hf.CLIPConfig(text_config=CLIP_WORDS, vision_config=LARGE | {"patch_size": 14}, projection_dim=768)
    return hf.CLIPModel(config), hf.CLIPProcessor(hf.CLIPImageProcessorPil(), words())


@kind(picture)
def dinov2_large() -> Made:
    """facebook/dinov2-large, whole."""
    config = hf.Dinov2Config(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, image_size=518)
    pictures = hf.BitImageProcessorPil(size={"shortest_edge": 256}, crop_size=square(224))
    return hf.Dinov2Model(config), pictures


@kind(picture)
def dinov3_large() -> Made:
    """facebook/dinov3-vitl16-pretrain-lvd1689m, whole."""
    config = hf.DINOv3ViTConfig(num_register_tokens=4, key_bias=False, **LARGE)
    return hf.DINOv3ViTModel(config), hf.ViTImageProcessorPil()


@kind(picture, read)
def siglip_so400m() -> Made:
    """google/siglip-so400m-patch14-384, 14 of 27 layers that see and 6 of 27 that read."""
    seen = SO400M | {"num_hidden_layers": 14, "image_size": 384, "patch_size": 14}
    text = SO400M | {"num_hidden_layers": 6, "vocab_size": 32000, "projection_size": 1152}
    pictures = hf.SiglipImageProcessorPil(size=square(384))
    return hf.SiglipModel(hf.SiglipConfig(text_config=text, vision_config=seen)), hf.SiglipProcessor(pictures, words())


@kind(picture, read)
def siglip2_so400m() -> Made:
    """google/siglip2-so400m-patch16-512, 14 of 27 layers that see and 3 of 27 that read, with Gemma's words."""
    seen = SO400M | {"num_hidden_layers": 14, "image_size": 512, "patch_size": 16}
    text = SO400M | {"num_hidden_layers": 3, "vocab_size": 256000, "projection_size": 1152}
    pictures = hf.SiglipImageProcessorPil(size=square(512))
    return hf.SiglipModel(hf.SiglipConfig(text_config=text, vision_config=seen)), hf.SiglipProcessor(pictures, words())


@kind(picture)
def siglip2_naflex() -> Made:
    """google/siglip2-so400m-patch16-naflex, its 18 of 27 layers that see: pictures of any shape."""
    config = hf.Siglip2VisionConfig(num_hidden_layers=18, patch_size=16, **SO400M)
    return hf.Siglip2VisionModel(config), hf.Siglip2ImageProcessorPil(patch_size=16, max_num_patches=256)


@kind(picture)
def beit_large() -> Made:
    """microsoft/beit-large-patch16-224, whole."""
    config = hf.BeitConfig(use_relative_position_bias=True, **LARGE)
    return hf.BeitForImageClassification(config), hf.BeitImageProcessorPil()


@kind(picture)
def aimv2_large() -> Made:
    """apple/aimv2-large-patch14-224, whole."""
    config = hf.Aimv2VisionConfig(
        hidden_size=1024, intermediate_size=2816, num_hidden_layers=24, num_attention_heads=8, image_size=224,
        patch_size=14,
    )  # fmt: skip
    return hf.Aimv2VisionModel(config), hf.CLIPImageProcessorPil(**shortest(224))


@kind(picture)
def ijepa_huge() -> Made:
    """facebook/ijepa_vith14_1k, 16 of 32 layers."""
    config = hf.IJepaConfig(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=16, num_attention_heads=16, patch_size=14
    )
    return hf.IJepaModel(config), hf.ViTImageProcessorPil()


@kind(picture)
def swin_large() -> Made:
    """microsoft/swin-large-patch4-window12-384, 224 wide instead of 192."""
    config = hf.SwinConfig(
        embed_dim=224, depths=[2, 2, 18, 2], num_heads=[7, 14, 28, 56], window_size=12, image_size=384
    )
    return hf.SwinForImageClassification(config), hf.ViTImageProcessorPil(size=square(384))


@kind(picture)
def convnext_xlarge() -> Made:
    """facebook/convnext-xlarge-224-22k-1k, whole."""
    config = hf.ConvNextConfig(depths=[3, 3, 27, 3], hidden_sizes=[256, 512, 1024, 2048])
    return hf.ConvNextForImageClassification(config), hf.ConvNextImageProcessorPil()
