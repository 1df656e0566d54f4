"""A pipeline's own call, led as far as its denoiser: what would be shown to it at a timestep, and what follows.

diffusers prepares the arguments of every denoiser in the pipeline's `__call__` (embeddings, position ids, sizes, film
rates), each pipeline its own way. So that way is gone, not rewritten: the call runs with the scheduler held at one
timestep and a stand-in for the denoiser, which keeps its arguments and ends the call. Encoders really run, once: later
passes of one batch are given what the first one saw. What guides a denoiser at a timestep (a ControlNet) ends the call
too; it is led again with what that answered.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_specs import NexusError
from nexus_torch.hugging_face.configuration.reading import said
from torch import Tensor, nn

from .arranging import arranged, whole_films
from .conditions import again, put_back
from .drawing import drawer, first, giving, noised_beside, with_draw
from .schedule import Schedule, can_noise, noised
from .standins import Answer, Memory, Reached, StandIn

STEPS = 2
"""Steps that a call is asked for, whatever the scheduler then has: some divide by half of them (Mochi)."""
LONGER = 9
"""Times as many frames lie in more latent frames, however many frames one of those holds."""


@dataclass(frozen=True)
class Reach:
    """What reaches the denoiser, or what guides it, at one timestep."""

    component: str
    arguments: Mapping[str, Any]
    noise: Tensor
    shown: Tensor
    """x_t before the scheduler scales it."""
    clean: Tensor | None = None
    """x_0 in the arrangement of the noise, where there is one."""


class Led:
    """Calls of one pipeline for one batch."""

    def __init__(self, pipeline: Any, denoisers: tuple[str, ...], schedule: Schedule, call: Mapping[str, Any]) -> None:
        self.pipeline, self.denoisers, self.schedule = pipeline, denoisers, schedule
        self.call, self.memory = call, Memory()
        self.guides = tuple(
            name for name, model in pipeline.__dict__.items() if isinstance(model, nn.Module) and name not in denoisers
            and "timestep" in inspect.signature(inspect.unwrap(type(model).forward)).parameters
        )  # fmt: skip
        self.told: dict[float, list[Any]] = {}
        self.frames_at = 0
        """In which dimension of the clean latents of films their frames lie; 0: as the pipeline has them."""

    def tell(self, timestep: float, answer: Any) -> None:
        """What the next of the guides answers at a timestep."""
        self.told.setdefault(timestep, []).append(answer)

    def reach(self, timestep: float, clean: Tensor | None, generators: list[Any]) -> Reach:
        """The arguments of the denoiser at a timestep, or of a guide that was not told yet; `clean` latents are noised,
        nothing counts as zeros."""

        def end(component: str, model: nn.Module, args: Any, kwargs: Any) -> Any:
            raise Reached(component, _bound(model, args, kwargs))

        native = drawer(self.pipeline)
        if native is None:
            raise self._unknown()
        scheduler = self.schedule.at(timestep)
        pipe = self._copy(scheduler, self._answers(timestep, end))
        draw = self._noising(pipe, native, scheduler, clean)
        noised_beside(pipe, scheduler)
        try:
            self._run(pipe, generators, draw=draw)
        except Reached as reached:
            if self.memory.noise is None or self.memory.shown is None:
                raise self._unknown() from None
            memory = self.memory
            return Reach(reached.component, reached.arguments, memory.noise, memory.shown, memory.clean)
        raise NexusError(f"{type(self.pipeline).__name__} ended without asking its {' or '.join(self.denoisers)}.")

    def _unknown(self) -> NexusError:
        return NexusError(
            f"{type(self.pipeline).__name__} makes its latents in a way that is not known here. Observe its denoiser "
            f"alone: FOLDER#{self.denoisers[0]}."
        )

    def finish(
        self, timestep: float, generators: list[Any], output: Any, shown: Tensor, step: Callable[..., Any]
    ) -> Any:  # fmt: skip
        """The rest of the call, with `output` for what the denoiser answers to `shown`, and `step(prediction, shown)`
        for the clean latents that follow from what is handed on of both: pictures or films in 0..1, by the pipeline's
        own decoding."""
        scheduler = self.schedule.at(timestep)
        scheduler.__dict__["step"] = lambda *args, **given: Answer(step(_handed(args, given), _latents(args, given)))
        pipe = self._copy(scheduler, self._answers(timestep, lambda *_: output))
        native = drawer(self.pipeline)
        assert native is not None
        if hasattr(pipe, "decode_latents"):
            pipe.__dict__["decode_latents"] = whole_films(pipe)
        return self._run(pipe, generators, draw=giving(native, pipe, shown))

    def handed(self, timestep: float, generators: list[Any], output: Any) -> Tensor | None:
        """What the call hands its scheduler where the denoiser answers `output`: some pipelines turn its sign, or make
        something else of it. None where nothing is handed on."""

        def end(*args: Any, **given: Any) -> Any:
            raise Reached("scheduler", {"prediction": _handed(args, given)})

        scheduler = self.schedule.at(timestep)
        scheduler.__dict__["step"] = end
        try:
            self._run(self._copy(scheduler, self._answers(timestep, lambda *_: output)), generators)
        except Reached as reached:
            return reached.arguments["prediction"]
        return None

    def _run(self, pipe: Any, generators: list[Any], *, draw: Callable[..., Any] | None = None) -> Any:
        """`draw`: what draws its latents. Tensors are asked for: not every pipeline gives latents (Marigold)."""
        self.memory.at = 0
        known = inspect.signature(type(self.pipeline).__call__).parameters
        drawing = [each.clone_state() for each in generators]           # one is no list, which some refuse (Wan VACE)
        fixed = {"generator": drawing if len(drawing) > 1 else drawing[0], "output_type": "pt",
                 "num_inference_steps": STEPS, "return_dict": False}  # fmt: skip
        given = {**self.call, **{name: value for name, value in fixed.items() if name in known}}
        given = {name: copy.copy(each) for name, each in given.items()}  # some write into their prompts
        native = inspect.unwrap(type(self.pipeline).__call__)
        try:
            return (native if draw is None else with_draw(pipe, native, draw))(pipe, **given)
        except (NexusError, MemoryError):
            raise
        except NameError as error:                          # diffusers asks for it only where it is used
            raise NexusError(
                f"{type(self.pipeline).__name__} needs a library for these samples that is not installed: {error}. "
                f"Install that: pip install {error.name}"
            ) from error
        except Exception as error:
            raise NexusError(f"{type(self.pipeline).__name__} refuses these samples: {said(error)}.") from error

    def _answers(self, timestep: float, denoised: Callable[..., Any]) -> Callable[..., Any]:
        """How models answer at a timestep: guides what they were told, in order; then `denoised`."""
        told = iter(self.told.get(timestep, ()))

        def answer(component: str, *asked: Any) -> Any:
            for each in told if component in self.guides else ():
                return each
            return denoised(component, *asked)

        return answer

    def _copy(self, scheduler: Any, answer: Callable[..., Any]) -> Any:
        """The pipeline with stand-ins: the encoders remember, the denoiser answers as it is told."""
        pipe = copy.copy(self.pipeline)
        pipe.__dict__["scheduler"] = scheduler
        for name, model in self.pipeline.__dict__.items():
            if not isinstance(model, nn.Module):
                continue
            how = functools.partial(answer, name, model) if name in (*self.denoisers, *self.guides) else None
            pipe.__dict__[name] = StandIn(name, model, self.memory, how)
        return pipe

    def _noising(
        self, pipe: Any, native: Callable[..., Any], scheduler: Any, clean: Tensor | None
    ) -> Callable[..., Any]:
        known = inspect.signature(native).parameters
        ready = "timestep" in known and "is_strength_max" not in known      # it noises its own picture, as far as that
        if ready and clean is not None:
            raise NexusError(f"{type(self.pipeline).__name__} begins with its own picture: leave latents out.")

        @functools.wraps(native)
        def prepare(*args: Any, **kwargs: Any) -> Any:
            at, second = self.memory.at, again(native, pipe, args, kwargs)
            made = native(pipe, *args, **kwargs)
            noise = first(made)
            if ready:
                self.memory.noise = self.memory.shown = noise
                return made
            own = clean
            if clean is not None:
                own = arranged(pipe, self._turned(clean, noise, native, pipe, args, kwargs), noise)
            start = noise * 0 if own is None else own
            shown = noise if clean is None and not can_noise(scheduler) else noised(scheduler, start, noise)
            if any(each.endswith(".encode") for each in self.memory.asked):
                self.memory.at = at                         # the same answers
                shown = put_back(shown, noise, first(second()))
            self.memory.noise, self.memory.shown, self.memory.clean = noise, shown.to(noise.dtype), own
            return (self.memory.shown, *made[1:]) if isinstance(made, tuple) else self.memory.shown

        return prepare

    def _turned(self, clean: Tensor, noise: Tensor, native: Callable[..., Any], *given: Any) -> Tensor:
        """Films of as many latent frames as channels: no shape tells which are which, but noise for a longer film does.

        `given`: the pipeline, arguments and named ones of its drawing of noise."""
        if not self.frames_at or clean.shape != noise.shape or clean.ndim != 5 or clean.shape[1] != clean.shape[2]:
            return clean
        pipe, args, kwargs = given
        named = inspect.signature(native).bind(pipe, *args, **kwargs).arguments
        if not isinstance(named.get("num_frames"), int):
            return clean
        named |= {"num_frames": LONGER * named["num_frames"], "generator": None}
        longer = first(native(**named))
        return clean if longer.shape[self.frames_at] > noise.shape[self.frames_at] else clean.transpose(1, 2)


def _handed(args: Sequence[Any], given: Mapping[str, Any]) -> Any:
    """What a scheduler's step is handed as the prediction."""
    return args[0] if args else given["model_output"]


def _latents(args: Sequence[Any], given: Mapping[str, Any]) -> Any:
    """The latents that a scheduler's step is handed."""
    return args[2] if len(args) > 2 else given.get("sample")


def _bound(model: nn.Module, args: Any, kwargs: Any) -> dict[str, Any]:
    """Arguments by name."""
    bound = inspect.signature(type(model).forward).bind(model, *args, **kwargs).arguments
    named = {name: value for name, value in bound.items() if name not in ("self", "kwargs", "return_dict")}
    return named | dict(bound.get("kwargs", {}))
