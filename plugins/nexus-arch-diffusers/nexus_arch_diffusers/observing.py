"""A whole pipeline as one module: text, picture or film in; what its denoiser predicts at chosen timesteps out.

Shapes: B samples, S timesteps; latents [C, H, W], of films [C, F, H, W] or [F, C, H, W], packed [N, D].
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from nexus_specs import NexusError
from torch import Tensor, nn

from .calling import natural
from .passes import Led, Reach
from .rows import parted, rows
from .schedule import Schedule
from .standins import Answer
from .vae import PIXELS, as_pixels, encode, frames_at, pictures, takes_media, watched

DENOISERS = ("transformer", "transformer_2", "unet", "prior", "decoder", "transformer_3")
"""Names of the components that predict noise."""
ALIKE = 0.01
"""Of its size: the difference between a prediction and the same one in another precision."""
MEDIUM = {4: "image", 5: "video"}
"""What comes out decoded, by its dimensions; of less it is sound."""
Times = Sequence[Sequence[float]]
"""[B][S]"""


class PipelineModule(nn.Module):
    """The models of a pipeline under their own names, and a forward that goes the pipeline's own way."""

    def __init__(
        self, pipeline: Any, models: Mapping[str, nn.Module], call: Mapping[str, Any], chosen: Mapping[str, Any], *,
        decode: bool = False,
    ) -> None:  # fmt: skip
        """`call`: arguments of the pipeline's call where it is observed; `chosen`: where its sampler runs."""
        super().__init__()
        self.decode = decode and "vae" in models
        for name, model in models.items():
            self.add_module(name, model)
        self.names = tuple(name for name in DENOISERS if name in models)
        self.schedule = Schedule(pipeline.scheduler)
        self.call, self.chosen = dict(call), dict(chosen)
        object.__setattr__(self, "pipeline", pipeline)

    def forward(
        self, *, seeds: Tensor, timesteps: Times, clean: Tensor | None = None, latents: Tensor | None = None,
        **given: Any,
    ) -> dict[str, Tensor]:  # fmt: skip
        """`seeds` [B] of the noise; `timesteps`, S for each sample (exact in whatever precision); `clean`
        uint8 pictures [B, H, W, 3] or films [B, F, H, W, 3];
        `latents` in their stead; `given`: arguments of the pipeline's call.

        -> "prediction" [B, S, ...], "noisy" [B, S, ...]; "target" where there was something clean, and the scheduler is
        handed what is predicted, or its opposite; "image" or
        "video" in 0..1 where that is asked for, or anything looks at the VAE's decoder.
        """
        call = self.call | natural(self.pipeline, given) | self._many(len(seeds))
        led = Led(self._on(seeds.device), self.names, self.schedule, call)
        generators = [torch.Generator("cpu").manual_seed(int(seed)) for seed in seeds]
        start = self._clean(clean, latents)
        led.frames_at = frames_at(self.vae) if start is not None and latents is None and hasattr(self, "vae") else 0
        moments = sorted({each for row in timesteps for each in row})
        reached = {each: led.reach(each, start, generators) for each in moments}
        while guided := {each: reach for each, reach in reached.items() if reach.component in led.guides}:
            self._guide(led, guided, len(seeds))
            reached |= {each: led.reach(each, start, generators) for each in guided}
        looked = watched(getattr(self, "vae", None), "encoder") and takes_media(self.vae)
        if clean is None and "vae.encode" not in led.memory.asked and looked:
            encode(self.vae, pictures(self.pipeline, given, len(seeds)))  # unneeded, but somebody looks at it
        predicted, output = self._predict(reached, timesteps)
        found = {"prediction": predicted, "noisy": _chosen(timesteps, {t: each.shown for t, each in reached.items()})}
        if start is not None and (sense := self._sense(led, generators, timesteps, output)):
            found["target"] = self._targets(reached, timesteps) * sense
        if self.decode or watched(getattr(self, "vae", None), "decoder"):
            found |= self._decoded(led, generators, reached, timesteps, output)
        return found

    def sample(self, given: Mapping[str, Any], generator: torch.Generator, steps: int) -> Any:
        """What the pipeline's own sampler makes of one sample: uint8 [H, W, 3], or [F, H, W, 3] of a film."""
        device = next(self.parameters()).device
        known = inspect.signature(type(self.pipeline).__call__).parameters
        wanted = {"generator": generator, "num_inference_steps": steps, "output_type": "np", "return_dict": False}
        wanted = {name: value for name, value in wanted.items() if name in known}
        call = self.chosen | natural(self.pipeline, given) | wanted
        made = self._on(device)(**call)[0]
        first = torch.as_tensor(made[0])
        return (first.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()

    def _many(self, batch: int) -> dict[str, int]:
        """How many samples there are, for a pipeline that must be told (DDPM)."""
        name = "batch_size"
        return {name: batch} if name in inspect.signature(type(self.pipeline).__call__).parameters else {}

    def _on(self, device: torch.device) -> Any:
        """The pipeline, saying that it runs on a device: its own way of telling asks weights that may be away."""
        kind = type(self.pipeline)
        here = property(lambda _: device)
        made = type(kind.__name__, (kind,), {"_execution_device": here, "device": here, "__module__": kind.__module__})
        pipeline = object.__new__(made)
        pipeline.__dict__.update(self.pipeline.__dict__)
        return pipeline

    def _clean(self, clean: Tensor | None, latents: Tensor | None) -> Tensor | None:
        """Clean latents, of pictures through the VAE."""
        if clean is None or latents is not None:
            return latents
        if hasattr(self, "vae"):
            return encode(self.vae, clean)
        needed, config = inspect.signature(type(self.pipeline).__init__).parameters, getattr(self, self.names[0]).config
        if "vae" in needed:
            raise NexusError("Pictures need the VAE, which is left out here. Give latents, or leave vae=off out.")
        if getattr(config, "in_channels", 0) not in PIXELS:
            raise NexusError(
                f"A {type(self.pipeline).__name__} has no component 'vae', and its {self.names[0]} works on no pixels: "
                "nothing says how a picture would be noised. Give latents."
            )
        return as_pixels(clean, config.in_channels)

    def _guide(self, led: Led, reached: Mapping[float, Reach], batch: int) -> None:
        """One forward of each model that guides the denoiser, for all timesteps at once."""
        for name in dict.fromkeys(each.component for each in reached.values()):
            own = [timestep for timestep, each in reached.items() if each.component == name]
            model = getattr(self, name)
            plain = "return_dict" in inspect.signature(inspect.unwrap(type(model).forward)).parameters
            places = [(at, sample) for at in range(len(own)) for sample in range(batch)]
            given = rows([reached[each].arguments for each in own], places, batch)
            answer = model(**given, **{"return_dict": False} if plain else {})
            for timestep, part in zip(own, parted(answer, len(own)), strict=True):
                led.tell(timestep, part)

    def _predict(self, reached: Mapping[float, Reach], timesteps: Times) -> tuple[Tensor, dict[Any, Answer]]:
        """One forward of each denoiser, all its rows at once: what is predicted, and answers by sample and timestep."""
        batch, found = len(timesteps), {}
        wanted = [(sample, timestep) for sample, row in enumerate(timesteps) for timestep in row]
        for name in dict.fromkeys(each.component for each in reached.values()):
            own = [timestep for timestep, each in reached.items() if each.component == name]
            self._check_rows(reached[own[0]], batch)
            places = [(own.index(timestep), sample) for sample, timestep in wanted if timestep in own]
            output = getattr(self, name)(**rows([reached[each].arguments for each in own], places, batch))
            keys = [key for key in wanted if key[1] in own]
            found |= dict(zip(keys, _answers(output), strict=True))
        return torch.stack([found[key][0] for key in wanted]).unflatten(0, (batch, -1)), found

    def _check_rows(self, reach: Reach, batch: int) -> None:
        shown = next(iter(reach.arguments.values()))
        if len(shown) != batch:
            raise NexusError(
                f"{type(self.pipeline).__name__} shows its {reach.component} {len(shown)} rows for {batch} sample(s), "
                f"which rows are whose is not known here. Observe it alone: FOLDER#{reach.component}."
            )

    def _targets(self, reached: Mapping[float, Reach], timesteps: Times) -> Tensor:
        made = {
            timestep: self.schedule.target(each.clean, each.noise, timestep)
            for timestep, each in reached.items() if each.clean is not None
        }
        return _chosen(timesteps, made)

    def _sense(self, led: Led, generators: list[Any], timesteps: Times, output: Mapping[Any, Answer]) -> int:
        """1 where the scheduler is handed what the denoiser predicts, -1 where the pipeline turns its sign before
        (Lumina 2, Z-Image, HiDream: the denoiser predicts x_0 - noise), 0 where it makes something else of it."""
        last = [min(row) for row in timesteps]
        given = Answer.together([output[key] for key in enumerate(last)])
        answer, handed = given[0], led.handed(last[0], generators, given)
        if handed is None:
            return 1
        if handed.numel() == answer.numel():                # without the one frame of a picture (Z-Image)
            answer = answer.reshape(handed.shape)
        some = answer[:, : handed.shape[1]]                 # beside a learned variance, which samplers leave out
        if some.shape != handed.shape:
            return 1
        one, other, size = some.float(), handed.float(), ALIKE * float(some.float().norm())
        return int(float((one - other).norm()) <= size) or -int(float((one + other).norm()) <= size)

    def _decoded(
        self, led: Led, generators: list[Any], reached: Mapping[float, Reach], timesteps: Times,
        output: Mapping[Any, Answer],
    ) -> dict[str, Tensor]:  # fmt: skip
        """The picture that follows from each sample's least noisy timestep."""
        last = [min(row) for row in timesteps]
        answer = Answer.together([output[key] for key in enumerate(last)])
        whole = torch.cat([reached[timestep].shown[at : at + 1] for at, timestep in enumerate(last)])

        def step(prediction: Tensor, handed: Tensor) -> Tensor:
            shown = whole if whole.shape == prediction.shape else handed    # without given frames, say
            each = len(prediction) // len(last)             # frames one after another (ModelScope's films)
            own = zip(prediction.split(each), shown.split(each), last, strict=True)
            return torch.cat([self.schedule.guess(*pair) for pair in own])

        made = led.finish(last[0], generators, answer, whole, step)
        made = made[0] if isinstance(made, tuple) else made
        last = isinstance(made, np.ndarray)                 # channels, where diffusers gives an array
        made = torch.stack(list(made)) if isinstance(made, (list, tuple)) else torch.as_tensor(made)
        made = made.movedim(-1, -3) if last and made.ndim > 3 else made
        return {MEDIUM.get(made.ndim, "audio"): made}


def _chosen(timesteps: Times, values: Mapping[float, Tensor]) -> Tensor:
    """Values by timestep [B, ...] -> [B, S, ...]."""
    return torch.stack([torch.stack([values[each][at] for each in row]) for at, row in enumerate(timesteps)])


def _answers(output: Any) -> list[Answer]:
    """What a denoiser gives, row by row: the prediction is the first, a list of samples too; a sound may be beside it
    (LTX-2)."""
    if isinstance(output, Tensor):
        return [Answer(row) for row in output]
    first, *others = output.values() if isinstance(output, Mapping) else output
    beside = next((each for each in others if isinstance(each, Tensor) and len(each) == len(first)), None)
    return [Answer(row, None if beside is None else beside[at]) for at, row in enumerate(first)]
