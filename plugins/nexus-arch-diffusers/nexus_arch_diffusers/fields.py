"""Samples to the arguments of one model of diffusers. Shapes: B samples, S timesteps.

A field that is named as an argument is that argument ("encoder_hidden_states"; "added_cond_kwargs.text_embeds" lies
inside one). The main input is that field, or clean "latents" on which the pipeline's scheduler puts noise, or noise.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nexus_specs import NexusError, Sample
from nexus_torch.padding import Collated
from torch import Tensor, nn

from .catalogue import made
from .clocks import Clock
from .collate import check_counts, pixels, seed, shape_of, tensor, timesteps
from .options import Options
from .rows import LAYERED, SHARED
from .schedule import Schedule, noised

TIME = ("timestep", "timesteps", "t", "timestep_ratio", "sigma")
"""What diffusers' denoisers call their timestep."""
ADDED = "added_cond_kwargs"
"""The argument of a U-Net that is a table of arrays."""
INSIDE: Mapping[str, tuple[str, ...]] = {
    "text_time": ("text_embeds", "time_ids"), "text_image": ("image_embeds",), "image": ("image_embeds",),
    "image_hint": ("image_embeds", "hint"), "text_image_proj": ("image_embeds",), "image_proj": ("image_embeds",),
    "ip_image_proj": ("image_embeds",),
}  # fmt: skip
"""What must be in it, by what a configuration says that is embedded (SDXL: "text_time")."""
SPREAD = (833.0, 500.0, 167.0)
"""Timesteps where no scheduler says which there are."""


class ModelCollate:
    """For one model: a denoiser, or something without timesteps (a VAE)."""

    def __init__(
        self, module: nn.Module, home: Path, schedule: Schedule | None, options: Options,
        clock: Callable[[str], Clock] | None = None,
    ) -> None:  # fmt: skip
        """`clock`: how the pipeline around it tells the time, by the argument's name."""
        self.parameters = inspect.signature(inspect.unwrap(type(module).forward)).parameters
        names = [name for name in self.parameters if name != "self"]
        self.main, self.home, self.schedule = names[0], home, schedule
        self.time = next((name for name in TIME if name in names), "")
        self.config, self.kind = module.config, type(module).__name__
        self.films = not any(isinstance(each, nn.Conv2d) for each in module.modules())
        spread = schedule.spread(options.count) if schedule else _few(options.count)
        self.spread = options.timesteps or spread
        self.clock = clock(self.time) if clock and self.time else None
        if schedule and self.time:
            schedule.check(options.timesteps, str(home))

    def __call__(self, samples: Sequence[Sample]) -> Collated:
        """Arguments; the main input [B, S, ...] and the timesteps [B, S] of a denoiser."""
        if not self.time:
            quiet = {"sample_posterior": False} if "sample_posterior" in self.parameters else {}
            return Collated({self.main: self._still(samples)} | quiet | self._others(samples))
        moments = [timesteps(sample, self.spread) for sample in samples]
        check_counts(moments)
        found = [self._shown(sample, each) for sample, each in zip(samples, moments, strict=True)]
        exact = torch.tensor([[self._told(each) for each in row] for row in moments], dtype=torch.float64)
        whole = bool((exact == exact.round()).all())
        batch = {self.main: torch.stack([each["shown"] for each in found]),
                 self.time: exact.long() if whole else exact.float()}  # fmt: skip
        targets = [each["target"] for each in found if "target" in each]
        outputs = {"target": torch.stack(targets)} if len(targets) == len(samples) else {}
        batch |= self._others(samples)
        self._complete(batch, samples)
        return Collated(batch, outputs=outputs)

    def groups(self, samples: Sequence[Sample]) -> list[list[int]]:
        """Samples with the same fields in the same shapes."""
        found: dict[Any, list[int]] = {}
        for index, sample in enumerate(samples):
            key = tuple(sorted((name, shape_of(value)) for name, value in sample.fields.items()))
            found.setdefault(key, []).append(index)
        return list(found.values())

    def _shown(self, sample: Sample, moments: Sequence[float]) -> dict[str, Tensor]:
        """What one sample shows at each of its timesteps, [S, ...], and what should be predicted."""
        if self.main in sample.fields:
            value = tensor(sample.fields[self.main])
            return {"shown": value.expand(len(moments), *value.shape)}
        if "latents" not in sample.fields:
            noise = self._noise(sample, self._sizes(sample))
            return {"shown": noise.expand(len(moments), *noise.shape)}
        if self.schedule is None:
            raise NexusError(
                f"'{self.home}' lies in no pipeline, so nothing says how its clean latents are noised. Give what the "
                f"model is shown as the field '{self.main}', or open the pipeline: FOLDER#{self.home.name}."
            )
        clean = tensor(sample.fields["latents"])
        noise = self._noise(sample, clean.shape)
        return {
            "shown": torch.stack([self._noised(clean, noise, moment) for moment in moments]),
            "target": torch.stack([self.schedule.target(clean, noise, moment) for moment in moments])
            * (self.clock.sense if self.clock else 1),
        }

    def _told(self, moment: float) -> float:
        return self.clock(moment) if self.clock else moment

    def _noised(self, clean: Tensor, noise: Tensor, moment: float) -> Tensor:
        assert self.schedule is not None
        scheduler = self.schedule.at(moment)
        shown = noised(scheduler, clean[None], noise[None])
        scale = getattr(scheduler, "scale_model_input", None)
        shown = shown if scale is None else scale(shown, scheduler.timesteps[0])
        shown = shown / (1 + float(scheduler.sigmas[0])) if self.schedule.added else shown
        return shown[0].to(clean.dtype)

    def _noise(self, sample: Sample, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed(sample)))

    def _sizes(self, sample: Sample) -> tuple[int, ...]:
        """[C, H, W], or [C, F, H, W] of a model of films, by the configuration; NexusError where it does not say."""
        channels, side = (getattr(self.config, name, None) for name in ("in_channels", "sample_size"))
        sides = (side, side) if isinstance(side, int) else side
        if not isinstance(channels, int) or not isinstance(sides, (tuple, list)):
            raise self._lacking([self.main], sample)
        return (channels, *(int(each) for each in sides))

    def _still(self, samples: Sequence[Sample]) -> Tensor:
        """The main input of a model without timesteps: as given, or a picture or film in -1..1."""
        rows = []
        for sample in samples:
            medium = next((name for name in ("video", "image") if name in sample.fields), "")
            if self.main in sample.fields:
                rows.append(tensor(sample.fields[self.main]))
            elif medium:
                value = pixels(sample.fields[medium], medium).movedim(-1, 0).float() / 127.5 - 1
                rows.append(value[:, None] if self.films and medium == "image" else value)
            else:
                raise self._pictureless(sample)
        return torch.stack(rows)

    def _pictureless(self, sample: Sample) -> NexusError:
        """What a user gives a VAE: its own kind of thing, or the array that its forward takes."""
        natural = {"image": "an image, or ", "video": "a video, or "}.get(made(self.kind), "")
        has = ", ".join(sorted(sample.fields)) or "nothing"
        return NexusError(
            f"'{self.home.name}' takes {natural}'{self.main}' as an array, but the samples "
            f"have only: {has}. Map the columns in the registry: data.NAME.options.columns."
        )

    def _others(self, samples: Sequence[Sample]) -> dict[str, Any]:
        batch: dict[str, Any] = {}
        rows = [dict(self._flat(sample)) for sample in samples]
        for field in rows[0]:
            name, _, inner = field.partition(".")
            if name not in self.parameters or name in (self.main, self.time):
                continue
            if any(field not in row for row in rows):
                raise self._lacking([field], next(each for each, row in zip(samples, rows, strict=True)
                                                  if field not in row))  # fmt: skip
            arrays = "Tensor" in str(self.parameters[name].annotation)
            value = _argument(field, [row[field] for row in rows], arrays=arrays)
            if inner:
                batch.setdefault(name, {})[inner] = value
            else:
                batch[name] = value
        return batch

    def _flat(self, sample: Sample) -> Iterator[tuple[str, Any]]:
        """The fields of a sample; a table is one for each of its entries, and what the model takes inside an argument
        ("text_embeds") is meant for there."""
        for field, value in sample.fields.items():
            if isinstance(value, Mapping):
                yield from ((f"{field}.{inner}", each) for inner, each in value.items())
            elif field in self.added and field not in self.parameters:
                yield f"{ADDED}.{field}", value
            else:
                yield field, value

    @property
    def added(self) -> tuple[str, ...]:
        """What a U-Net wants inside `added_cond_kwargs`, by its configuration."""
        said = (getattr(self.config, name, None) for name in ("addition_embed_type", "encoder_hid_dim_type"))
        found = [each for kind in said for each in INSIDE.get(str(kind), ())]
        return tuple(dict.fromkeys(found)) if ADDED in self.parameters else ()

    def _complete(self, batch: Mapping[str, Any], samples: Sequence[Sample]) -> None:
        needed = [name for name, each in self.parameters.items()
                  if name not in ("self", *batch) and each.default is each.empty
                  and each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]  # fmt: skip
        inner = batch.get(ADDED) or {}
        needed += [f"{ADDED}.{name}" for name in self.added if name not in inner]
        if needed:
            raise self._lacking(needed, samples[0])

    def _lacking(self, needed: Sequence[str], sample: Sample) -> NexusError:
        has = ", ".join(sorted(sample.fields)) or "nothing"
        return NexusError(
            f"'{self.home.name}' takes {', '.join(needed)} as arrays, but the samples have only: {has}. Samples of "
            "text and pictures pass through the whole pipeline: open its folder without '#'."
        )


def _argument(field: str, values: Sequence[Any], *, arrays: bool = False) -> Any:
    """One argument of all samples: arrays are stacked, what is alike stays as it is. `arrays`: its model wants arrays,
    and numbers (a label) are made one."""
    first = values[0]
    if arrays and all(type(value) in (int, float) for value in values):
        return torch.tensor(values)
    if field.rpartition(".")[2] in SHARED:
        if any(not np.array_equal(np.asarray(value), np.asarray(first)) for value in values):
            raise NexusError(f"'{field}' is one for all samples that pass together, and these have different ones.")
        return tuple(map(tensor, first)) if isinstance(first, (list, tuple)) else tensor(first)
    if hasattr(first, "shape"):
        return torch.stack([tensor(value) for value in values], 1 if field in LAYERED else 0)
    if isinstance(first, (list, tuple)) and len(first) and hasattr(first[0], "shape"):
        return tuple(torch.stack([tensor(value[at]) for value in values]) for at in range(len(first)))
    if any(value != first for value in values):
        raise NexusError(f"'{field}' differs between samples that pass together: give it as an array.")
    return first


def _few(count: int) -> tuple[float, ...]:
    return SPREAD if count == len(SPREAD) else tuple(np.linspace(1000, 0, count, endpoint=False).round().tolist())
