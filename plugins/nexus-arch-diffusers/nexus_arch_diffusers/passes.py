"""A pipeline's own call, led as far as its denoiser: what would be shown to it at a timestep, and what follows.

diffusers prepares the arguments of every denoiser in the pipeline's `__call__` (embeddings, position ids, sizes, film
rates), each pipeline its own way. So that way is gone, not rewritten: the call runs with the scheduler held at one
timestep and a stand-in for the denoiser, which keeps its arguments and ends the call. Encoders really run, once: later
passes of one batch are given what the first one saw.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nexus_specs import NexusError
from torch import Tensor, nn

from .schedule import Schedule, can_noise, noised

RECORDED = ("encode", "get_text_features", "get_image_features")
"""Methods of encoders, beside being called, of which the answers are kept."""


class Reached(BaseException):
    """Ends a pipeline's call at its denoiser. No Exception: a pipeline may catch those."""

    def __init__(self, component: str, arguments: dict[str, Any]) -> None:
        super().__init__(component)
        self.component, self.arguments = component, arguments


@dataclass
class Memory:
    """Answers of the encoders in the order in which they were asked, and what the latents were."""

    answers: list[Any] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    """Components and their methods that answered ("vae.encode")."""
    at: int = 0
    noise: Tensor | None = None
    shown: Tensor | None = None


@dataclass(frozen=True)
class Reach:
    """What reaches the denoiser at one timestep."""

    component: str
    arguments: Mapping[str, Any]
    noise: Tensor
    shown: Tensor
    """x_t before the scheduler scales it."""


class Led:
    """Calls of one pipeline for one batch."""

    def __init__(self, pipeline: Any, denoisers: tuple[str, ...], schedule: Schedule, call: Mapping[str, Any]) -> None:
        self.pipeline, self.denoisers, self.schedule = pipeline, denoisers, schedule
        self.call, self.memory = call, Memory()

    def reach(self, timestep: float, clean: Tensor | None, generators: list[Any]) -> Reach:
        """The arguments of the denoiser at a timestep; `clean` latents are noised, nothing counts as zeros."""

        def end(component: str, model: nn.Module, args: Any, kwargs: Any) -> Any:
            raise Reached(component, _bound(model, args, kwargs))

        if not hasattr(self.pipeline, "prepare_latents"):
            raise self._unknown()
        scheduler = self.schedule.at(timestep)
        pipe = self._copy(scheduler, end)
        pipe.prepare_latents = self._noising(pipe, scheduler, clean)
        try:
            self._run(pipe, generators)
        except Reached as reached:
            if self.memory.noise is None or self.memory.shown is None:
                raise self._unknown() from None
            return Reach(reached.component, reached.arguments, self.memory.noise, self.memory.shown)
        raise NexusError(f"{type(self.pipeline).__name__} ended without asking its {' or '.join(self.denoisers)}.")

    def _unknown(self) -> NexusError:
        return NexusError(
            f"{type(self.pipeline).__name__} makes its latents in a way that is not known here. Observe its denoiser "
            f"alone: FOLDER#{self.denoisers[0]}."
        )

    def finish(self, timestep: float, generators: list[Any], output: Any, step: Callable[..., Any]) -> Any:
        """The rest of the call, with `output` for what the denoiser answers and `step(prediction)` for the clean
        latents that follow from it: pictures or films in 0..1, by the pipeline's own decoding."""
        scheduler = self.schedule.at(timestep)
        scheduler.__dict__["step"] = lambda prediction, *_, **__: _Step(step(prediction))
        pipe = self._copy(scheduler, lambda *_: output)
        if hasattr(pipe, "decode_latents"):
            pipe.__dict__["decode_latents"] = _whole_films(pipe)
        return self._run(pipe, generators, output_type="pt")

    def handed(self, timestep: float, generators: list[Any], output: Any) -> Tensor | None:
        """What the call hands its scheduler where the denoiser answers `output`: some pipelines turn its sign, or make
        something else of it. None where nothing is handed on."""

        def end(prediction: Tensor, *_: Any, **__: Any) -> Any:
            raise Reached("scheduler", {"prediction": prediction})

        scheduler = self.schedule.at(timestep)
        scheduler.__dict__["step"] = end
        try:
            self._run(self._copy(scheduler, lambda *_: output), generators)
        except Reached as reached:
            return reached.arguments["prediction"]
        return None

    def _run(self, pipe: Any, generators: list[Any], output_type: str = "latent") -> Any:
        self.memory.at = 0
        known = inspect.signature(type(self.pipeline).__call__).parameters
        fixed = {"generator": [each.clone_state() for each in generators], "output_type": output_type,
                 "num_inference_steps": 1, "return_dict": False}  # fmt: skip
        given = {**self.call, **{name: value for name, value in fixed.items() if name in known}}
        native = inspect.unwrap(type(self.pipeline).__call__)
        try:
            return native(pipe, **given)
        except (NexusError, MemoryError):
            raise
        except Exception as error:
            raise NexusError(f"{type(self.pipeline).__name__} refuses these samples: {error}") from error

    def _copy(self, scheduler: Any, answer: Callable[..., Any]) -> Any:
        """The pipeline with stand-ins: the encoders remember, the denoiser answers as it is told."""
        pipe = copy.copy(self.pipeline)
        pipe.__dict__["scheduler"] = scheduler
        for name, model in self.pipeline.__dict__.items():
            if not isinstance(model, nn.Module):
                continue
            how = functools.partial(answer, name, model) if name in self.denoisers else None
            pipe.__dict__[name] = StandIn(name, model, self.memory, how)
        return pipe

    def _noising(self, pipe: Any, scheduler: Any, clean: Tensor | None) -> Callable[..., Any]:
        native = type(pipe).prepare_latents

        @functools.wraps(native)
        def prepare(*args: Any, **kwargs: Any) -> Any:
            made = native(pipe, *args, **kwargs)
            noise = made[0] if isinstance(made, tuple) else made
            start = noise * 0 if clean is None else arranged(pipe, clean, noise)
            shown = noise if clean is None and not can_noise(scheduler) else noised(scheduler, start, noise)
            self.memory.noise, self.memory.shown = noise, shown.to(noise.dtype)
            return (self.memory.shown, *made[1:]) if isinstance(made, tuple) else self.memory.shown

        return prepare


class StandIn:
    """In a model's place: gives its attributes; remembers what it answers, or answers by another function."""

    def __init__(self, name: str, model: nn.Module, memory: Memory, answer: Callable[..., Any] | None) -> None:
        self._name, self._model, self._memory, self._answer = name, model, memory, answer

    @property
    def __class__(self) -> type:  # type: ignore[override]
        """The model's: pipelines ask what they have."""
        return type(self._model)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        if self._answer is None and name in RECORDED:
            return functools.partial(self._recorded, f"{self._name}.{name}", found)
        if isinstance(found, nn.Module) and not isinstance(found, (nn.ModuleList, nn.ModuleDict)):
            return StandIn(f"{self._name}.{name}", found, self._memory, None)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The model's answer, the one that it gave before, or the one that takes its place."""
        if self._answer is not None:
            return self._answer(args, kwargs)
        return self._recorded(self._name, self._model, *args, **kwargs)

    def _recorded(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        memory = self._memory
        memory.asked.add(name)
        if memory.at == len(memory.answers):
            memory.answers.append(function(*args, **kwargs))
        memory.at += 1
        return memory.answers[memory.at - 1]


def _whole_films(pipe: Any) -> Callable[..., Any]:
    """A pipeline's decoding of latents [B, F, C, H, W], all films in one call where it would decode a few frames at a
    time: a sample's frames must not pass in one call with another's, nor in several."""
    native = pipe.decode_latents
    if "decode_chunk_size" not in inspect.signature(native).parameters or not hasattr(pipe.vae, "decode"):
        return native

    def decode(latents: Tensor, num_frames: int, *_: Any, **__: Any) -> Tensor:
        flat = latents.flatten(0, 1) / pipe.vae.config.scaling_factor
        frames = pipe.vae.decode(flat, num_frames=num_frames).sample
        return frames.unflatten(0, (-1, num_frames)).transpose(1, 2).float()

    return decode


class _Step(tuple[Any, ...]):
    """What a scheduler's step gives, as a tuple or by name."""

    def __new__(cls, value: Any) -> _Step:
        return super().__new__(cls, (value,))

    @property
    def prev_sample(self) -> Any:
        """The latents that follow."""
        return self[0]


def _bound(model: nn.Module, args: Any, kwargs: Any) -> dict[str, Any]:
    """Arguments by name."""
    bound = inspect.signature(type(model).forward).bind(model, *args, **kwargs).arguments
    named = {name: value for name, value in bound.items() if name not in ("self", "kwargs", "return_dict")}
    return named | dict(bound.get("kwargs", {}))


def arranged(pipe: Any, clean: Tensor, noise: Tensor) -> Tensor:
    """Clean latents in the arrangement of the noise: some pipelines pack patches into tokens."""
    if clean.shape == noise.shape:
        return clean
    if clean.ndim == 5 and clean.transpose(1, 2).shape == noise.shape:
        return clean.transpose(1, 2)                        # frames before channels (CogVideoX)
    pack = getattr(pipe, "_pack_latents", None)
    if pack is not None and clean.ndim > noise.ndim:
        sizes = inspect.signature(pack).parameters
        try:
            clean = pack(clean, *clean.shape) if "height" in sizes else pack(
                clean, *(getattr(pipe, f"transformer_{name}_patch_size", 1) for name in ("spatial", "temporal"))
            )
        except (RuntimeError, TypeError, ValueError):
            clean = clean[:0]
    if clean.shape != noise.shape:
        raise NexusError(
            f"The latents of the picture have the shape {list(clean.shape[1:])}, the pipeline's "
            f"{list(noise.shape[1:])}. Give pictures of the size that it makes (#height=...&width=...), or latents."
        )
    return clean
