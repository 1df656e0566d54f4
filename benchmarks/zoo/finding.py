"""What finds things in a picture: how far they are, where they stand, what is theirs."""

from __future__ import annotations

import transformers as hf

from .kind import Made, kind
from .parts import LARGE, square, words
from .samples import named, picture
from .seeing import CLIP_WORDS

SWIN = {"embed_dim": 224, "depths": [2, 2, 18, 2], "num_heads": [7, 14, 28, 56], "window_size": 12, "image_size": 384}
NECK = [256, 512, 1024, 1024]


@kind(picture)
def depth_anything_large() -> Made:
    """LiheYoung/depth-anything-large-hf, whole."""
    seen = hf.Dinov2Config(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, image_size=518, out_indices=[21, 22, 23, 24],
        reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = hf.DepthAnythingConfig(
        backbone_config=seen, reassemble_hidden_size=1024, neck_hidden_sizes=NECK, fusion_hidden_size=256
    )
    pictures = hf.DPTImageProcessorPil(size=square(518), keep_aspect_ratio=True, ensure_multiple_of=14)
    return hf.DepthAnythingForDepthEstimation(config), pictures


@kind(picture)
def dpt_large() -> Made:
    """Intel/dpt-large, whole."""
    config = hf.DPTConfig(image_size=384, backbone_out_indices=[5, 11, 17, 23], neck_hidden_sizes=NECK, **LARGE)
    return hf.DPTForDepthEstimation(config), hf.DPTImageProcessorPil()


@kind(picture)
def sam_large() -> Made:
    """facebook/sam-vit-large, whole."""
    seen = hf.SamVisionConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, global_attn_indexes=[5, 11, 17, 23],
        mlp_dim=4096,
    )  # fmt: skip
    return hf.SamModel(hf.SamConfig(vision_config=seen)), hf.SamProcessor(hf.SamImageProcessorPil())


@kind(picture, named)
def owlvit_large() -> Made:
    """google/owlvit-large-patch14, whole."""
    seen = LARGE | {"image_size": 840, "patch_size": 14}
    config = hf.OwlViTConfig(text_config=CLIP_WORDS, vision_config=seen, projection_dim=768)
    pictures = hf.OwlViTImageProcessorPil(size=square(840))
    return hf.OwlViTForObjectDetection(config), hf.OwlViTProcessor(pictures, words())


@kind(picture)
def detr_101() -> Made:
    """facebook/detr-resnet-101, three times as wide and twice as deep behind its convolutions."""
    sizes = {f"{side}_{name}": each for side in ("encoder", "decoder")
             for name, each in (("layers", 12), ("ffn_dim", 3584), ("attention_heads", 12))}  # fmt: skip
    config = hf.DetrConfig(
        backbone_config=hf.ResNetConfig(out_features=["stage4"], depths=[3, 4, 23, 3]), d_model=768,
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, **sizes,
    )  # fmt: skip
    return hf.DetrForObjectDetection(config), hf.DetrImageProcessorPil()


@kind(picture)
def mask2former_large() -> Made:
    """facebook/mask2former-swin-large-coco-panoptic, its tower 224 wide instead of 192."""
    seen = hf.SwinConfig(**SWIN, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = hf.Mask2FormerConfig(backbone_config=seen, use_timm_backbone=False)
    pictures = hf.Mask2FormerImageProcessorPil(size=square(384))
    return hf.Mask2FormerForUniversalSegmentation(config), pictures
