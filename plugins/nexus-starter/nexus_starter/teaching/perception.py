"""The three perception teachers: a native Hugging Face classifier each, trained on more than the student will see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    PreTrainedConfig,
    PreTrainedModel,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from .. import motion, tones
from ..places import table
from .optimiser import Optimiser, Pace

Examples = tuple[list[Any], list[int]]  # raw media and their labels
POOL = {"tones": 30_000, "motion": 30_000}  # generated clips that a teacher sees; the student sees fewer, and others
CENTRED = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


@dataclass(frozen=True, kw_only=True)
class PerceptionRecipe:
    """One perception teacher: what it sees, how media become tensors, and what varies them in training."""

    name: str
    model: type[PreTrainedModel]
    config: PreTrainedConfig
    processor: Callable[[], Any]
    tensors: Callable[[Any, Sequence[Any]], Tensor]
    training: Callable[[], Examples]
    held_out: Callable[[str], Examples]
    pace: Pace
    batch: int = 64
    vary: Callable[[Tensor], Tensor] = lambda batch: batch


def train(recipe: PerceptionRecipe, report: Callable[[int, float], None]) -> tuple[PreTrainedModel, Any]:
    """The teacher and its processor."""
    torch.manual_seed(0)
    model, processor = recipe.model(recipe.config).train(), recipe.processor()
    model.set_attn_implementation("eager")  # in bfloat16 the fused kernel's backward is several times slower
    media, labels = recipe.training()
    inputs, targets = in_tensors(recipe, processor, media), torch.tensor(labels)
    optimiser = Optimiser(model, recipe.pace)
    for step in range(recipe.pace.steps):
        chosen = torch.randint(len(targets), (recipe.batch,))
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(recipe.vary(inputs[chosen].float())).logits
        loss = functional.cross_entropy(logits.float(), targets[chosen])
        optimiser.step(loss)
        report(step, loss.item())
    return model.eval(), processor


def in_tensors(recipe: PerceptionRecipe, processor: Any, media: Sequence[Any], block: int = 1000) -> Tensor:
    """All media through the processor, in half precision: a pool of films is large."""
    pieces = (recipe.tensors(processor, media[i : i + block]).half() for i in range(0, len(media), block))
    return torch.cat(list(pieces))


@torch.inference_mode()
def accuracy(recipe: PerceptionRecipe, model: PreTrainedModel, processor: Any, part: str) -> float:
    """The share of a part that the model names rightly."""
    media, labels = recipe.held_out(part)
    found = [model(recipe.tensors(processor, media[i : i + 100])).logits.argmax(-1) for i in range(0, len(media), 100)]
    return (torch.cat(found) == torch.tensor(labels)).float().mean().item()


def names(labels: Sequence[str]) -> dict[str, Any]:
    """The class names as a config holds them."""
    return {"id2label": dict(enumerate(labels)), "label2id": {name: index for index, name in enumerate(labels)}}


# ------------------------------------------------------------------------------------------------------- digits
def digit_images(part: str) -> Examples:
    """The images of a part with all their labels."""
    rows = pq.read_table(table("digits", part)).to_pylist()
    if part == "train":
        labels = {row["source"]: row["label"] for row in pq.read_table(table("digits", "teacher_labels")).to_pylist()}
        rows = [row | {"label": labels[row["source"]]} for row in rows]
    images = [Image.open(BytesIO(row["image"]["bytes"])).convert("RGB") for row in rows]
    return images, [row["label"] for row in rows]


def all_digit_images() -> Examples:
    """Everything but what is held out and what options are chosen on."""
    (some, theirs), (more, others) = digit_images("train"), digit_images("teacher")
    return some + more, theirs + others


def nudged(images: Tensor) -> Tensor:
    """Each image turned, stretched and shifted a little: a thousand digits are few."""
    turn, stretch = torch.randn(len(images)) * 0.15, 1 + torch.randn(2, len(images)) * 0.08
    shift = torch.randn(2, len(images)) * 0.12
    rows = [
        torch.stack([turn.cos() * stretch[0], -turn.sin(), shift[0]], -1),
        torch.stack([turn.sin(), turn.cos() * stretch[1], shift[1]], -1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    moved = functional.grid_sample(images + 1, grid, align_corners=False) - 1  # black is -1 once normalised
    return moved + torch.randn_like(moved) * 0.1


DIGITS = PerceptionRecipe(
    name="digits",
    model=ViTForImageClassification,
    config=ViTConfig(
        image_size=8,
        patch_size=2,
        hidden_size=64,
        num_hidden_layers=5,
        num_attention_heads=4,
        intermediate_size=192,
        hidden_dropout_prob=0.1,
        **names("0123456789"),
    ),
    processor=lambda: ViTImageProcessorPil(size={"height": 8, "width": 8}, **CENTRED),
    tensors=lambda processor, media: processor(media, return_tensors="pt").pixel_values,
    training=all_digit_images,
    held_out=digit_images,
    pace=Pace(steps=2500, decay=0.6, adamw=2e-3),
    vary=nudged,
)


# -------------------------------------------------------------------------------------------------------- tones
def generated(clip: Callable[[str, int], tuple[Any, int]], part: str, count: int) -> Examples:
    """The first clips of a part."""
    media, labels = zip(*(clip(part, index) for index in range(count)), strict=True)
    return list(media), list(labels)


TONES = PerceptionRecipe(
    name="tones",
    model=ASTForAudioClassification,
    config=ASTConfig(
        hidden_size=80,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=240,
        patch_size=8,
        frequency_stride=8,
        time_stride=8,
        max_length=24,
        num_mel_bins=64,
        **names(tones.KEYS),
    ),
    # At 16 kHz the extractor's own path and torchaudio's agree; at 8 kHz their windows differ.
    processor=lambda: ASTFeatureExtractor(sampling_rate=tones.RATE, num_mel_bins=64, max_length=24, mean=-1.0, std=2.0),
    tensors=lambda processor, media: processor(list(media), sampling_rate=tones.RATE, return_tensors="pt").input_values,
    training=lambda: generated(tones.clip, "teacher", POOL["tones"]),
    held_out=lambda part: generated(tones.clip, part, 2000),
    pace=Pace(steps=3000, decay=0.6, adamw=2e-3),
)


# ------------------------------------------------------------------------------------------------------- motion
MOTION = PerceptionRecipe(
    name="motion",
    model=VideoMAEForVideoClassification,
    config=VideoMAEConfig(
        image_size=motion.SIZE,
        patch_size=4,
        num_frames=motion.FRAMES,
        tubelet_size=2,
        hidden_size=80,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=240,
        **names(motion.NAMES),
    ),
    processor=lambda: VideoMAEImageProcessorPil(
        size={"shortest_edge": motion.SIZE}, crop_size={"height": motion.SIZE, "width": motion.SIZE}, **CENTRED
    ),
    tensors=lambda processor, media: processor([list(film) for film in media], return_tensors="pt").pixel_values,
    training=lambda: generated(motion.clip, "teacher", POOL["motion"]),
    held_out=lambda part: generated(motion.clip, part, 2000),
    pace=Pace(steps=3000, decay=0.6, adamw=2e-3),
)

RECIPES = {recipe.name: recipe for recipe in (DIGITS, TONES, MOTION)}
