"""Image and video encoders, and decoders that see."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from .parts import (
    DECODER,
    ENDS,
    SMALL,
    TEXTS,
    films,
    jittered,
    more,
    pictures,
    sample,
    save,
    token,
    tokenizer,
)
from .tiny import Tiny

TOWER = {**SMALL, "image_size": 28, "patch_size": 14}
PIXELS = {"height": 28, "width": 28}
CLIP_WORDS = {"vocab_size": 320, "max_position_embeddings": 64, **SMALL, **ENDS}


def seen(text: str) -> Any:
    """Pictures with a text each."""
    return [sample(image=each.fields["image"], text=text) for each in pictures()]


def _pair(kind: Any, config: Any, processor: Any, folder: Path, words: Any = None, **vision: Any) -> None:
    """An encoder of images beside one of texts."""
    torch.manual_seed(0)
    text = {**CLIP_WORDS, "projection_size": 32}
    made = config(text_config=text, vision_config={**SMALL, **vision}, projection_dim=24)
    save(folder, jittered(kind(made)), words or tokenizer(model_max_length=64), processor)


def siglip(folder: Path) -> None:
    """The fixed resolutions of SigLIP 2 are of the model type siglip."""
    _pair(
        hf.SiglipModel, hf.SiglipConfig, hf.SiglipImageProcessorPil(size=PIXELS), folder, image_size=28, patch_size=14
    )


def naflex(folder: Path) -> None:
    """SigLIP 2 with free resolutions: patches, a mask and the shapes."""
    processor = hf.Siglip2ImageProcessorPil(patch_size=16, max_num_patches=256)
    words = tokenizer({"unknown": "<unk>"}, **{"unk_token": "<unk>"}, model_max_length=64)
    _pair(hf.Siglip2Model, hf.Siglip2Config, processor, folder, words, num_patches=256, patch_size=16)


def clip(folder: Path) -> None:
    """CLIP."""
    processor = hf.CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=PIXELS)
    _pair(hf.CLIPModel, hf.CLIPConfig, processor, folder, image_size=28, patch_size=14)


def videomae(folder: Path) -> None:
    """The pre-training checkpoint: what it needs is the encoder; its decoder rebuilds masked patches."""
    torch.manual_seed(0)
    rebuilding = {"decoder_num_hidden_layers": 2, "decoder_hidden_size": 16, "decoder_num_attention_heads": 2,
                  "decoder_intermediate_size": 24}  # fmt: skip
    config = hf.VideoMAEConfig(image_size=16, patch_size=8, num_frames=4, tubelet_size=2, **SMALL, **rebuilding)
    processor = hf.VideoMAEImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    save(folder, jittered(hf.VideoMAEForPreTraining(config)), processor)


def gemma3(folder: Path, *, apart: bool = False) -> None:
    """Gemma 3 with its image encoder and its processor; `apart`: its file holds the tied head once more."""
    torch.manual_seed(0)
    special = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    words = tokenizer(special)
    shape = DECODER | {
        "head_dim": 8,
        "sliding_window": 16,
        "layer_types": ["sliding_attention"] * 2 + ["full_attention"],
    }
    marks = {f"{name}_token_id" if name != "image" else "image_token_id": token(words, special[f"{name}_token"])
             for name in ("image",)} | {"boi_token_index": token(words, "<start_of_image>"),
                                        "eoi_token_index": token(words, "<end_of_image>")}  # fmt: skip
    config = hf.Gemma3Config(text_config=shape, vision_config={**SMALL, "image_size": 28, "patch_size": 7},
                             mm_tokens_per_image=4, **marks)  # fmt: skip
    images = hf.Gemma3ImageProcessorPil(size=PIXELS, image_seq_length=4)
    model = jittered(hf.Gemma3ForConditionalGeneration(config))
    save(folder, model, hf.Gemma3Processor(images, words, image_seq_length=4))
    if apart:
        more(folder, {"lm_head.weight": model.get_input_embeddings().weight})


ROWS = (
    Tiny(name="siglip2-so400m", stands_for="google/siglip2-so400m-patch16-512", build=siglip, quick=True,
         samples=lambda: seen(TEXTS[2]), checked="images and texts through the processor's parts"),
    Tiny(name="siglip2-naflex", stands_for="google/siglip2-so400m-patch16-naflex", build=naflex, card=False,
         samples=lambda: seen(TEXTS[2]), checked="patches with masks and shapes"),
    Tiny(name="clip", stands_for="openai/clip-vit-large-patch14", build=clip, samples=lambda: seen(TEXTS[2]),
         card=False),
    Tiny(name="videomae-large", stands_for="MCG-NJU/videomae-large", build=videomae, samples=partial(films, 4, 16),
         absent="VideoMAEVideoProcessor needs torchvision; frames go through VideoMAEImageProcessor for Pillow"),
    Tiny(name="gemma-3-27b", stands_for="google/gemma-3-27b-pt", build=gemma3, card=False,
         samples=lambda: seen("<start_of_image> seen"), checked="image tokens through Gemma3Processor"),
)  # fmt: skip
