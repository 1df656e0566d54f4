"""Samples to tensors, through the checkpoint's own tokenizer or processor; without torchvision and torchaudio."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample
from PIL import Image
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

from nexus_torch.padding import Collated
from nexus_torch.text import start_token, tokenise


class Preprocessor:
    """What turns the samples of one checkpoint into arguments of its forward."""

    def __init__(self, home: Path, takes: Sequence[str], *, generative: bool, context: int, channels: int) -> None:
        self.home, self.takes = home, tuple(takes)
        self.generative, self.context, self.channels = generative, context, channels

    def __call__(self, samples: Sequence[Sample]) -> Collated:
        """The batch: of every modality that the checkpoint takes and the samples have."""
        makers: Mapping[str, Callable[[Sequence[Sample]], Collated]] = {
            "text": self.text, "image": self.images, "audio": self.sounds, "video": self.films,
        }  # fmt: skip
        present = [name for name in self.takes if all(name in sample.fields for sample in samples)]
        if not present:
            has = ", ".join(sorted({name for sample in samples for name in sample.fields}))
            raise NexusError(
                f"'{self.home.name}' takes {' or '.join(self.takes)}, but the samples have only: {has}. "
                "Map the columns in the registry: data.NAME.options.columns."
            )
        batch = Collated({})
        for name in present:
            part = makers[name](samples)
            batch.update(part)
            batch.side |= part.side
        return batch

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        return self._load(AutoTokenizer, "tokenizer.json")

    @cached_property
    def image_processor(self) -> Any:
        """The image processor, in its version for Pillow."""
        return self._load(AutoImageProcessor, "preprocessor_config.json", backend="pil")

    @cached_property
    def feature_extractor(self) -> Any:
        """The feature extractor for sound."""
        return self._load(AutoFeatureExtractor, "preprocessor_config.json")

    def text(self, samples: Sequence[Sample]) -> Collated:
        """A start token and right padding for what generates; the tokenizer's own special tokens for the rest."""
        texts = [str(sample.fields["text"]) for sample in samples]
        if not self.generative:
            limits = {"truncation": True, "max_length": self.context} if self.context else {}
            return Collated(self.tokenizer(texts, padding=True, return_tensors="pt", **limits))
        found = tokenise(self.tokenizer, texts, start=start_token(self.tokenizer), limit=self.context)
        return Collated({"input_ids": found.ids, "attention_mask": found.mask.long()}, spans=found.spans)

    def lengths(self, samples: Sequence[Sample]) -> list[int] | None:
        """Tokens of each text, uncut; None for what is not text alone."""
        if self.takes != ("text",) or not all("text" in sample.fields for sample in samples):
            return None
        texts = [str(sample.fields["text"]) for sample in samples]
        encoded = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def images(self, samples: Sequence[Sample]) -> Collated:
        """uint8 [H, W, C] each -> pixel_values [B, C, H, W]."""
        images = [_picture(sample.fields["image"], self.channels) for sample in samples]
        return Collated(self.image_processor(images, return_tensors="pt"))

    def films(self, samples: Sequence[Sample]) -> Collated:
        """uint8 [T, H, W, C] each -> pixel_values [B, T, C, H, W]."""
        films = [[_picture(frame, self.channels) for frame in sample.fields["video"]] for sample in samples]
        return Collated(self.image_processor(films, return_tensors="pt"))

    def sounds(self, samples: Sequence[Sample]) -> Collated:
        """float32 [N] each, at the rate that the extractor expects."""
        extractor = self.feature_extractor
        for sample in samples:
            _check_rate(sample, int(extractor.sampling_rate), self.home.name)
        pads = inspect.signature(extractor.__call__).parameters.get("padding")
        more = {"padding": True} if pads is not None and not pads.default else {}
        waves = [np.asarray(sample.fields["audio"], dtype=np.float32) for sample in samples]
        return Collated(extractor(waves, sampling_rate=extractor.sampling_rate, return_tensors="pt", **more))

    def _load(self, kind: Any, file: str, **more: Any) -> Any:
        try:
            return kind.from_pretrained(self.home, trust_remote_code=False, local_files_only=True, **more)
        except (ImportError, ValueError, OSError) as error:
            raise NexusError(
                f"'{self.home}' has no {file} that transformers can use here: {error}\n"
                "Put the preprocessor's files of the checkpoint beside its weights."
            ) from error


def _picture(pixels: Any, channels: int) -> Image.Image:
    """A picture with as many channels as the model takes: 1 or 3."""
    array = np.asarray(pixels)
    if array.dtype != np.uint8:
        raise NexusError(f"Images are uint8 [height, width, channels]; this one is {array.dtype} {array.shape}.")
    image = Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array)
    return image.convert("L" if channels == 1 else "RGB")


def _check_rate(sample: Sample, expected: int, name: str) -> None:
    rate = int(sample.fields.get("rate", expected))
    if rate != expected:
        raise NexusError(
            f"The audio of sample '{sample.key}' has {rate} Hz, '{name}' hears at {expected} Hz. "
            f"Let the reader resample: data.NAME.options.rate: {expected}."
        )
