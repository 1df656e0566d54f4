"""The checkpoint: names and meaning as transformers' rules have them, pictures without torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nexus_specs import NexusError, Sample
from nexus_torch.hugging_face.configuration.classes import skeleton
from nexus_torch.hugging_face.inputs.collate import Preprocessor
from nexus_torch.hugging_face.weights.checkpoint import HuggingFaceCheckpoint
from nexus_torch.padding import Collated
from nexus_torch.text import start_token, tokenise
from PIL import Image
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from .model import StepVLForConditionalGeneration

PATCH, BEGIN, END = "<im_patch>", "<im_start>", "<im_end>"
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's pixels, as Step3p7ImageProcessor has them."""


class StepPreprocessor(Preprocessor):
    """Text alone as every decoder reads it; with a picture, its place in the text filled with patch tokens. A picture
    is seen whole, at the encoder's size; the crops of large pictures are left out."""

    vision: Any = None
    """The encoder's configuration."""

    def _together(self, present: Sequence[str]) -> bool:
        return "image" in present

    def together(self, samples: Sequence[Sample], present: Sequence[str]) -> Collated:
        """Pictures and the texts around them."""
        if PATCH not in self.tokenizer.get_vocab():
            raise NexusError(f"The tokenizer of '{self.home.name}' has no {PATCH}: fetch tokenizer.json of Step3-VL.")
        texts = [self._with_patches(str(sample.fields.get("text", ""))) for sample in samples]
        found = tokenise(self.tokenizer, texts, start=start_token(self.tokenizer))
        pixels = torch.stack([self._pixels(sample.fields["image"]) for sample in samples])
        return Collated({"input_ids": found.ids, "attention_mask": found.mask.long(), "pixel_values": pixels})

    def _with_patches(self, text: str) -> str:
        """The first <im_patch> of a text, or its beginning, as the run of patches of one picture."""
        side = self.vision.image_size // self.vision.patch_size
        for _ in range(2):  # two convolutions of stride 2
            side = (side + 1) // 2
        known = self.tokenizer.get_vocab()
        run = "".join([BEGIN if BEGIN in known else "", PATCH * side * side, END if END in known else ""])
        return text.replace(PATCH, run, 1) if PATCH in text else run + text

    def _pixels(self, image: Any) -> Tensor:
        """uint8 [H, W, 3] -> float32 [3, S, S] at the encoder's size."""
        array = np.asarray(image)
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape:
            raise NexusError(f"Images are uint8 [height, width, channels]; this one is {array.dtype} {array.shape}.")
        size = self.vision.image_size
        seen = Image.fromarray(array.squeeze()).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        values = torch.from_numpy(np.array(seen)).float().permute(2, 0, 1) / 255
        return (values - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]


class Step3VLCheckpoint(HuggingFaceCheckpoint):
    """Kind "checkpoint"."""

    prepares = StepPreprocessor

    def __init__(self, home: Path, config: PreTrainedConfig) -> None:
        super().__init__(home, config)
        self.preprocessor.vision = config.vision_config
        own = tuple(each for each in self.described.missing if each != "preprocessor_config.json")
        self.described = replace(self.described, missing=own)  # pictures need no file here

    def bare(self) -> PreTrainedModel:
        """The composition."""
        return skeleton(self.config, StepVLForConditionalGeneration)
