"""The held-out score of a saved checkpoint, loaded as anyone would load it and run in float32."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

from ..places import TEACHERS
from . import perception, text

PROCESSORS = {"digits": AutoImageProcessor, "tones": AutoFeatureExtractor, "motion": AutoImageProcessor}


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a teacher reaches, and what it must reach."""

    name: str
    metric: str
    value: float
    required: float

    @property
    def reached(self) -> bool:
        """Whether the teacher is as good as it must be."""
        return self.value <= self.required if self.metric == "bits per byte" else self.value >= self.required


REQUIRED = {"prose": 1.75, "code": 1.60, "digits": 0.98, "tones": 0.93, "motion": 0.91}


def score(name: str, part: str = "held_out") -> Score:
    """The score of the shipped checkpoint on one part of its data."""
    if name in perception.RECIPES:
        return Score(name=name, metric="accuracy", value=perceived(name, part), required=REQUIRED[name])
    return Score(name=name, metric="bits per byte", value=read(name, part), required=REQUIRED[name])


def perceived(name: str, part: str) -> float:
    """Accuracy of a perception teacher."""
    recipe, folder = perception.RECIPES[name], TEACHERS / name
    model = recipe.model.from_pretrained(folder, dtype=torch.float32).eval()
    return perception.accuracy(recipe, model, PROCESSORS[name].from_pretrained(folder), part)


def read(name: str, part: str) -> float:
    """Bits per byte of a text teacher."""
    recipe, folder = text.RECIPES[name], TEACHERS / name
    model = recipe.model.from_pretrained(folder, dtype=torch.float32).eval()
    return text.bits_per_byte(model, AutoTokenizer.from_pretrained(folder), text.rows(name, part))
