"""Samples with a film to what `films` goes through: frames at the model's size, and what is to be followed in them.

transformers' processors of these models need torchvision; resizing and normalising a frame does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from nexus_specs import NexusError, Sample
from PIL import Image
from torch import Tensor

from nexus_torch.padding import Collated

from ..folder import configuration, parsed
from .collate import Preprocessor
from .films import PROMPTS
from .ready import ready

FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
"""Where a checkpoint says how pixels are normalised."""
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALVES = ([0.5] * 3, [0.5] * 3)
"""Mean and deviation of SAM 2's and EdgeTAM's pixels, and of SAM 3's, as transformers' processors have them."""
LONGEST = 32
"""Tokens of SAM 3's words, padding included."""


class FilmPreprocessor(Preprocessor):
    """One sample is a `video` with what is to be followed, in pixels of its first frame: `points` [[x, y], ...] on one
    object (`labels` 1, or 0 for points beside it), its `box` [x0, y0, x1, y1], or its `mask` [H, W]; without any, what
    lies in the middle. A model that reads words takes the sample's `text`."""

    side = 1024
    """Pixels of a frame's side in the model."""

    def __call__(self, samples: Sequence[Sample]) -> Collated:
        """The batch: of one film, since the modules behind the towers run again for every frame and object."""
        batch = ready(samples, self.arguments)
        if "pixel_values" not in batch:
            films = [_frames(sample) for sample in samples]
            if len({film.shape[0] for film in films}) > 1:
                raise NexusError("Films of one batch have as many frames as each other. Observe them one at a time.")
            batch["pixel_values"] = torch.stack([self._pixels(film) for film in films])
            batch.update({} if "text" in self.takes else self._prompts(samples, films, batch))
        if "text" in self.takes and "input_ids" not in batch:
            texts = [str(sample.fields.get("text", "")) for sample in samples]
            words = {"padding": "max_length", "max_length": LONGEST, "truncation": True, "return_tensors": "pt"}
            batch.update(self._cut(lambda tokenizer: tokenizer(texts, **words)))
        return self._fitting(batch)

    def _pixels(self, film: np.ndarray) -> Tensor:
        """uint8 [T, H, W, 3] -> float32 [T, 3, S, S]."""
        mean, deviation = self._normalised_by()
        size = (self.side, self.side)
        seen = np.stack([np.array(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR)) for frame in film])
        values = torch.from_numpy(seen).float().permute(0, 3, 1, 2) / 255
        return (values - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]

    def _normalised_by(self) -> tuple[list[float], list[float]]:
        own = IMAGENET if "sam3" not in str(configuration(str(self.home)).get("model_type")) else HALVES
        found: dict[str, Any] = {}
        for name in FILES:
            said = parsed(self.home / name) if (self.home / name).is_file() else {}
            for each in (said, said.get("video_processor"), said.get("image_processor")):
                found = {**each, **found} if isinstance(each, Mapping) else found
        return _three(found.get("image_mean"), own[0]), _three(found.get("image_std"), own[1])

    def _prompts(self, samples: Sequence[Sample], films: Sequence[np.ndarray], batch: Collated) -> dict[str, Tensor]:
        """What the samples show of their first frames, in the model's pixels; the middle where they show nothing."""
        if not PROMPTS.isdisjoint(batch):
            return {}
        made = [self._prompt(sample, film) for sample, film in zip(samples, films, strict=True)]
        if len({tuple((name, each.shape) for name, each in sorted(row.items())) for row in made}) > 1:
            raise NexusError("The samples of a batch show their objects in different ways. Observe them one at a time.")
        return {name: torch.stack([row[name] for row in made]) for name in made[0]}

    def _prompt(self, sample: Sample, film: np.ndarray) -> dict[str, Tensor]:
        """Of one sample, without its batch dimension."""
        height, width = film.shape[1:3]
        scale = torch.tensor([self.side / width, self.side / height])
        fields = sample.fields
        if "mask" in fields:
            return {"input_masks": self._mask(_numbers(sample, "mask", 2), film)}
        if "box" in fields:
            return {"input_boxes": (_numbers(sample, "box", 1).reshape(2, 2) * scale).reshape(1, 4)}
        points = _numbers(sample, "points", 2) if "points" in fields else torch.tensor([[width / 2, height / 2]])
        labels = _numbers(sample, "labels", 1) if "labels" in fields else torch.ones(len(points))
        if points.shape[1] != 2 or len(labels) != len(points):
            raise NexusError(f"The sample '{sample.key}' needs points [[x, y], ...] and a label for each.")
        return {"input_points": (points * scale)[None], "input_labels": labels.long()[None]}

    def _mask(self, mask: Tensor, film: np.ndarray) -> Tensor:
        """At the model's size, true or not: [1, S, S]."""
        if tuple(mask.shape) != film.shape[1:3]:
            raise NexusError(f"A mask has the size of a frame, {film.shape[1:3]}; this one has {tuple(mask.shape)}.")
        size = (self.side, self.side)
        seen = torch.nn.functional.interpolate(mask[None, None], size, mode="bilinear", antialias=True)
        return (seen[0] >= 0.5).float()


def _frames(sample: Sample) -> np.ndarray:
    """uint8 [T, H, W, 3]."""
    if "video" not in sample.fields:
        has = ", ".join(sorted(sample.fields))
        raise NexusError(
            f"The sample '{sample.key}' has no video, but only: {has}. "
            "Map the columns in the registry: data.NAME.options.columns."
        )
    film = np.asarray(sample.fields["video"])
    if film.dtype != np.uint8 or film.ndim != 4 or film.shape[-1] != 3 or 0 in film.shape:
        raise NexusError(f"Films are uint8 [frames, height, width, 3]; this one is {film.dtype} {film.shape}.")
    return film


def _numbers(sample: Sample, name: str, dimensions: int) -> Tensor:
    try:
        found = torch.as_tensor(np.asarray(sample.fields[name], dtype=np.float32))
    except (TypeError, ValueError):
        found = torch.empty(0)
    if found.ndim != dimensions or not found.numel() or (name == "box" and found.shape != (4,)):
        raise NexusError(
            f"'{name}' of the sample '{sample.key}' is not what it should be: points [[x, y], ...], labels "
            "[1, 0, ...], box [x0, y0, x1, y1], mask [H, W], in pixels of the first frame."
        )
    return found


def _three(value: Any, default: list[float]) -> list[float]:
    """Numbers of three channels."""
    three = value if isinstance(value, (list, tuple)) and len(value) == 3 else default
    return [float(each) for each in (three if all(isinstance(each, (int, float)) for each in three) else default)]
