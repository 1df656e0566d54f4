"""What sees a film."""

from __future__ import annotations

import transformers as hf

from .kind import Made, kind
from .parts import LARGE
from .samples import film, frames


@kind(film)
def videomae_large() -> Made:
    """MCG-NJU/videomae-large, whole."""
    return hf.VideoMAEModel(hf.VideoMAEConfig(**LARGE)), hf.VideoMAEImageProcessorPil()


@kind(film)
def timesformer() -> Made:
    """facebook/timesformer-hr-finetuned-k400 (16 pictures), as wide as a ViT-L and 16 layers deep, 224 pixels."""
    config = hf.TimesformerConfig(num_frames=16, **LARGE | {"num_hidden_layers": 16})
    return hf.TimesformerForVideoClassification(config), hf.VideoMAEImageProcessorPil()


@kind(frames)
def vjepa2_large() -> Made:
    """facebook/vjepa2-vitl-fpc64-256 on 16 pictures, whole. Its processor needs torchvision: tensors are shown."""
    config = hf.VJEPA2Config(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, frames_per_clip=64, crop_size=256
    )
    return (hf.VJEPA2Model(config),)
