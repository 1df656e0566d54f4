"""Inputs of any model, found from its forward's signature and its configuration, and mended by what its errors say.

One sample is what a processor would give for it alone: every argument with a batch dimension of one.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from .following import follows, through
from .following import names as film_names
from .making import Arguments, Maker
from .special import SPECIAL

COUNTS = re.compile(r"(Image|Video|Audio|Multimodal) features and .*tokens:? (\d+),? *features:? (\d+)")
FLIPPED, ALL = "bands before frames", "all of it"
"""Stand among the arguments where a spectrogram is [1, M, frames], and where SPECIAL makes them together."""
MEDIA = ("pixel_values", "input_features", "input_values", "pixel_values_videos", "flattened_patches", "audio_mel")


@dataclass(frozen=True)
class Found:
    """Arguments with which a model runs, and how they were made."""

    samples: list[Arguments]
    names: list[str]
    tokens: Mapping[str, int]


class Inputs:
    """Makes the arguments of samples for one model."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.config = module, module.config
        parameters = inspect.signature(module.forward).parameters
        self.names = film_names(module) if follows(module) else list(parameters)
        self.required = [
            name for name, each in parameters.items()
            if each.default is inspect.Parameter.empty and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
        ]  # fmt: skip

    def candidates(self) -> Iterator[list[str]]:
        """Which arguments to try, the richest first."""
        if self.config.model_type in SPECIAL:
            yield [ALL]
        main = self.module.main_input_name
        main = main if main in self.names else (self.required or self.names)[0]
        text = ["input_ids"] if "input_ids" in self.names else []
        media = [name for name in MEDIA if name in self.names]
        decoder = ["decoder_input_ids"] if "decoder_input_ids" in self.names else []
        base = list(dict.fromkeys([main, *self.required, *decoder]))
        for some in ([*text, *media[:1]], [*text, *media[1:2]], media[:1], text, []):
            yield list(dict.fromkeys([*some, *base]))
        yield list(dict.fromkeys([main, *self.required]))
        if "input_features" in self.names:
            yield list(dict.fromkeys([*text, "input_features", *base, FLIPPED]))
            yield list(dict.fromkeys(["input_features", *base, FLIPPED]))

    def make(self, names: list[str], seed: int, tokens: Mapping[str, int]) -> Arguments:
        """The arguments of one sample; `tokens` says how many placeholders of a modality its text holds."""
        generator = np.random.default_rng(seed)
        maker = Maker(self.config, self.names, generator, tokens)
        found: Arguments = SPECIAL[self.config.model_type](maker) if names == [ALL] else {}
        for name in (each for each in names if each not in (FLIPPED, ALL)):
            if name not in found:  # what came with another argument fits that
                found |= maker.make(name)
        if FLIPPED in names:
            found["input_features"] = np.swapaxes(found["input_features"], -1, -2).copy()
        return {name: value for name, value in found.items() if name in self.names}


def search(module: nn.Module, begin: int = 0) -> Found:
    """Arguments of two samples with which the model runs; of one, where two do not go side by side. Raises what the
    richest of them raised. `begin`: the seed of the first."""
    inputs, first = Inputs(module), None
    for samples in (1,) if follows(module) else (2, 1):
        for names in inputs.candidates():
            try:
                return _counted(inputs, names, samples, begin)
            except Exception as error:
                first = first or error
    raise first or RuntimeError("nothing to try")


def apart(module: nn.Module, found: Found, count: int, begin: int = 0) -> tuple[list[Arguments], int]:
    """Different samples for `count` forwards, and how many of them one forward takes: one, unless the model only runs
    with as many as were found."""
    inputs, failure = Inputs(module), None
    for each in dict.fromkeys((1, len(found.samples))):
        made = [inputs.make(found.names, seed, found.tokens) for seed in range(begin, begin + count * each)]
        try:
            for first in range(0, len(made), each):
                run(module, batch_of(made[first : first + each]))
        except Exception as error:
            failure = failure or error
        else:
            return made, each
    raise failure or RuntimeError("nothing to try")


def _counted(inputs: Inputs, names: list[str], samples: int, begin: int) -> Found:
    """Samples with as many placeholders in their texts as an error says that a modality has features."""
    tokens: dict[str, int] = {}
    for _ in range(4):
        made = [inputs.make(names, seed, tokens) for seed in range(begin, begin + samples)]
        try:
            run(inputs.module, batch_of(made))
        except Exception as error:
            counted = COUNTS.search(str(error).replace("\n", " "))
            if counted is None or tokens.get(counted[1]) == int(counted[3]) // samples:
                raise
            tokens[counted[1]] = int(counted[3]) // samples
        else:
            return Found(made, names, tokens)
    raise RuntimeError("no number of placeholders fits")


def batch_of(samples: list[Arguments]) -> dict[str, torch.Tensor]:
    """Samples side by side."""
    return {name: torch.cat([torch.from_numpy(each[name]) for each in samples]) for name in samples[0]}


@torch.no_grad()
def run(module: nn.Module, batch: Mapping[str, Any]) -> Any:
    """The forward; what it draws is drawn alike each time."""
    torch.manual_seed(0)
    return through(module, batch) if follows(module) else module(**batch)
