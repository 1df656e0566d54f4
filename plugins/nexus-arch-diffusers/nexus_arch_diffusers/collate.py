"""Samples to what a pipeline's module takes. Shapes: B samples, S timesteps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from nexus_specs import NexusError, Sample
from nexus_torch.padding import Collated

from .guidance import unguided
from .options import CALL, Options

MEDIA = ("image", "video")
NOT_ARGUMENTS = frozenset({
    "text", "prompt", "label", "source", "timestep", "timesteps", "seed", "latents", "generator", "output_type",
    "callback_on_step_end", "callback", "num_inference_steps", "return_dict", "sigmas", *MEDIA,
})  # fmt: skip
"""Fields that are no arguments of the pipeline's call as they stand."""
LABELS = "class_labels"
"""Numbers of classes, one for each sample (DiT); a sample's field "label" is one too."""
EXACT = {"use_resolution_binning": False}
"""So that a picture has the size that was asked for."""


class PipelineCollate:
    """Prompts, pictures, embeddings and latents of samples as keyword arguments of `PipelineModule.forward`."""

    def __init__(
        self, arguments: Mapping[str, Any], options: Options, spread: Sequence[float], name: str, *, reads: bool = True,
        apart: bool = False, alone: bool = False, labelled: bool = False,
    ) -> None:  # fmt: skip
        """`reads`: whether the pipeline has what makes embeddings of a text; `apart`: whether it encodes pictures one
        by one; `alone`: whether a sample would be another in company; `labelled`: whether what it makes is of a
        class."""
        self.arguments, self.options, self.spread, self.name = arguments, options, tuple(spread), name
        self.reads, self.apart, self.alone, self.labelled = reads, apart, alone, labelled

    def __call__(self, samples: Sequence[Sample]) -> Collated:
        """One row for each sample. NexusError for what only some of them have: the others would lose it."""
        carried = [{name for name in sample.fields if name in (*MEDIA, "latents") or self._is_ready(name)}
                   for sample in samples]  # fmt: skip
        if some := set.union(*carried) - set.intersection(*carried):
            raise NexusError(
                f"Only some samples of a batch of '{self.name}' have {', '.join(sorted(some))}. Put those with the "
                "same fields together."
            )
        batch: dict[str, Any] = {
            "seeds": torch.tensor([seed(sample) for sample in samples]),
            "timesteps": [timesteps(sample, self.spread) for sample in samples],
        }
        check_counts(batch["timesteps"])
        batch |= self._text(samples) | self._media(samples) | self._ready(samples)
        return Collated(batch)

    def call(self, kind: type[Any], *, told: bool) -> dict[str, Any]:
        """Arguments of the call of a pipeline (`kind`) that are the same for every sample; `told`: its model is told
        the strength of guidance."""
        return unguided(kind, self.arguments, told=told) | self.chosen()

    def chosen(self) -> dict[str, Any]:
        """Those of them that its sampler is given too: what the source sets, and no other size than that."""
        sizes = {name: getattr(self.options, name) for name in ("height", "width", "num_frames")}
        chosen = {name: value for name, value in sizes.items() if value} | dict(self.options.call) | EXACT
        return {name: value for name, value in chosen.items() if name in self.arguments}

    def groups(self, samples: Sequence[Sample]) -> list[list[int]]:
        """Samples that can pass together: with the same fields in the same shapes, and as many timesteps. Calls take
        one film, or lists of them, and do not say which."""
        found: dict[Any, list[int]] = {}
        for index, sample in enumerate(samples):
            shapes = tuple(sorted((name, shape_of(value)) for name, value in sample.fields.items()))
            shown = [field for field in sample.fields.items() if self._is_condition(field)]
            apart = self.alone or (self.apart and shown) or any(value.ndim > 3 for _, value in shown)
            alone = index if apart else -1
            found.setdefault((shapes, len(timesteps(sample, self.spread)), alone), []).append(index)
        return list(found.values())

    def _is_condition(self, field: tuple[str, Any]) -> bool:
        """Whether it is a picture or film that the pipeline's call takes."""
        return field[0] in self.arguments and getattr(field[1], "dtype", None) == np.uint8

    def _text(self, samples: Sequence[Sample]) -> dict[str, Any]:
        ready = "prompt_embeds" in samples[0].fields
        if "prompt" not in self.arguments or ready:
            return {}
        if not self.reads:
            raise NexusError(
                f"'{self.name}' has no text encoder: its model_index.json leaves it out. Give samples with ready "
                "prompt_embeds, or put the encoder and its tokenizer into the folder."
            )
        texts = [sample.fields.get("prompt", sample.fields.get("text")) for sample in samples]
        if any(each is None for each in texts):
            if self.arguments["prompt"].default is None and "image" in samples[0].fields:
                return {"prompt": [""] * len(samples)}
            raise self._lacking("text (or ready prompt_embeds)", samples)
        return {"prompt": [str(each) for each in texts]}

    def _media(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """What the pipeline's call takes is a condition; what it gives is something clean to put noise on."""
        batch: dict[str, Any] = {}
        for medium in MEDIA:
            if not all(medium in sample.fields for sample in samples):
                continue
            found = torch.stack([pixels(sample.fields[medium], medium) for sample in samples])
            batch["clean" if medium not in self.arguments else medium] = found
            height, width = found.shape[-3:-1]
            if medium == "image" and not (self.options.height or self.options.width) and "height" in self.arguments:
                batch |= {"height": height, "width": width}
        if all("latents" in sample.fields for sample in samples):
            batch["latents"] = torch.stack([tensor(sample.fields["latents"]) for sample in samples])
        needed = self.arguments.get("image")
        if needed is not None and "image" not in batch and needed.default is needed.empty:
            raise self._lacking("image", samples)
        return batch

    def _ready(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """Fields that are arguments of the call by name: embeddings for each sample, settings for all."""
        batch = self._labels(samples)
        for name in samples[0].fields:
            if not self._is_ready(name) or name in batch:
                continue
            values = [sample.fields.get(name) for sample in samples]
            if hasattr(values[0], "shape"):
                batch[name] = torch.stack([tensor(value) for value in values])
            elif all(value == values[0] for value in values) and (name in CALL or isinstance(values[0], (int, float))):
                batch[name] = values[0]
            else:
                raise NexusError(f"'{name}' differs between samples that pass together: give arrays, or one value.")
        return batch

    def _labels(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """A number for each sample, of a pipeline that makes what is of a class."""
        if LABELS not in self.arguments:
            return {}
        said = [sample.fields.get(LABELS, sample.fields.get("label")) for sample in samples]
        optional = self.arguments[LABELS].default is None and not self.labelled
        if optional and all(each is None for each in said):
            return {}
        if any(np.size(each) != 1 or not isinstance(np.asarray(each).item(), int) for each in said):
            raise self._lacking("class_labels (a whole number in each)", samples)
        return {LABELS: [int(np.asarray(each).item()) for each in said]}

    def _is_ready(self, name: str) -> bool:
        """Whether a field is an argument of the pipeline's call as it stands."""
        return name in self.arguments and name not in NOT_ARGUMENTS

    def _lacking(self, what: str, samples: Sequence[Sample]) -> NexusError:
        has = ", ".join(sorted({name for sample in samples for name in sample.fields}))
        return NexusError(
            f"'{self.name}' takes {what}, but the samples have only: {has}. "
            "Map the columns in the registry: data.NAME.options.columns."
        )


def seed(sample: Sample) -> int:
    """The seed of a sample's noise: its field, else a hash of its key, so that the same item has the same noise."""
    said = sample.fields.get("seed")
    return int(said) if said is not None else int.from_bytes(hashlib.sha256(sample.key.encode()).digest()[:6], "big")


def timesteps(sample: Sample, spread: Sequence[float]) -> list[float]:
    """The timesteps that a sample asks for (fields "timesteps" or "timestep"), else the teacher's."""
    said = sample.fields.get("timesteps", sample.fields.get("timestep"))
    found = list(spread) if said is None else [float(each) for each in np.atleast_1d(np.asarray(said, np.float64))]
    if not found or not all(np.isfinite(found)):
        raise NexusError(f"The sample '{sample.key}' asks for the timesteps {said}: give one or more finite numbers.")
    return found


def check_counts(moments: Sequence[Sequence[float]]) -> None:
    """NexusError for samples with different numbers of timesteps."""
    if len({len(each) for each in moments}) > 1:
        raise NexusError("Samples with different numbers of timesteps cannot pass together: give all the same number.")


def pixels(value: Any, medium: str) -> torch.Tensor:
    """A picture [H, W, 3] or a film [F, H, W, 3] of uint8, grey ones with three equal channels."""
    array = np.asarray(value)
    if array.dtype != np.uint8 or array.ndim != (3 if medium == "image" else 4):
        wanted = "an image is uint8 [height" if medium == "image" else "a video is uint8 [frames, height"
        raise NexusError(f"{wanted}, width, channels]; this one is {array.dtype} {array.shape}.".capitalize())
    array = np.repeat(array, 3, -1) if array.shape[-1] == 1 else array[..., :3]
    return torch.from_numpy(np.ascontiguousarray(array))


def tensor(value: Any) -> torch.Tensor:
    """An array of any library; double precision as single."""
    found = torch.as_tensor(np.asarray(value))
    return found.float() if found.dtype == torch.float64 else found


def shape_of(value: Any) -> Any:
    """What must be alike for samples to pass together."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), shape_of(each)) for name, each in value.items()))
    return tuple(value.shape) if hasattr(value, "shape") else type(value).__name__
