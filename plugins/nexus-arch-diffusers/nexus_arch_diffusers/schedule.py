"""A scheduler of diffusers held at one chosen timestep: its own noising, scaling and step there.

x_t is what the denoiser is shown at timestep t, x_0 the clean latents, s the scheduler's noise level at t.
"""

from __future__ import annotations

import copy
import functools
import inspect
import math
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import SchedulerMixin
from nexus_specs import NexusError
from torch import Tensor

from .limits import TRAINED

CLOSED = ("SCMScheduler", "DDPMWuerstchenScheduler")
"""Schedulers whose last timestep is the end, 0, at which no denoiser is asked."""


MORE = 1.001
"""Above which a noise level is no share: noise of that strength is added then, and nothing clean is taken away, also by
a scheduler of flows (Cosmos 2, whose pipeline shows its denoiser x_t / (1 + s))."""
TOLD = ("beta_start", "beta_end", "beta_schedule", "trained_betas", "shift", "timestep_spacing", TRAINED)
"""What the noise and the timesteps of a scheduler follow from."""


class Schedule:
    """The timesteps of a scheduler with their noise levels, and copies of it that stand at one of them."""

    def __init__(self, scheduler: SchedulerMixin) -> None:
        self.scheduler = scheduler
        self.train = int(getattr(scheduler.config, "num_train_timesteps", 1000) or 1000)
        self.flow = "Flow" in type(scheduler).__name__ or getattr(scheduler.config, "use_flow_sigmas", False)
        self.inverted = bool(getattr(scheduler.config, "invert_sigmas", False))
        self.timesteps, self.sigmas = self._table()
        self.added = self.flow and self.sigmas is not None and float(self.sigmas.max()) > MORE

    def spread(self, count: int) -> tuple[float, ...]:
        """That many timesteps, evenly over what the sampler visits, noisiest first."""
        places = [int((at + 0.5) * len(self.timesteps) / count) for at in range(count)]
        return tuple(float(self.timesteps[place]) for place in places)

    def check(self, timesteps: Sequence[float], where: str) -> None:
        """NexusError for timesteps that the scheduler does not have: a table would give another one in their place."""
        numbers = self.timesteps.double()
        least, most = min(0.0, float(numbers.min())), float(numbers.max())
        if self.flow:
            most = max(most, float(self.train))
        elif _whole(numbers):                               # an offset moves the last one behind the table
            most = float(self.train - 1)
        if wrong := [each for each in timesteps if not least <= each <= most]:
            raise NexusError(
                f"'{where}' has no timestep {wrong[0]:g}: those of its {type(self.scheduler).__name__} go from "
                f"{least:g} to {most:g}. Name some of these: FOLDER#timesteps=..."
            )

    def at(self, timestep: float) -> Any:
        """A copy of the scheduler whose only timestep is this one (of a table: the nearest to it)."""
        held = copy.copy(self.scheduler)
        held.__class__ = _held(type(self.scheduler))
        held.__dict__["held"] = self._place(timestep)
        held.__dict__["added"] = self.added
        held.__dict__["closed"] = type(self.scheduler).__name__ in CLOSED
        held.set_timesteps()
        return held

    def prediction(self) -> str:
        """What the denoiser predicts: "velocity" (noise - x_0), "epsilon", "v_prediction" or "sample"."""
        said = str(getattr(self.scheduler.config, "prediction_type", "") or "")
        return "velocity" if self.flow or said.startswith("flow") else said or "epsilon"

    def target(self, clean: Tensor, noise: Tensor, timestep: float) -> Tensor:
        """What a perfect denoiser would predict, of the shape of the latents. Velocity: noise - x_0; v: a e - s x_0
        with x_t = a x_0 + s e and a² + s² = 1 (Salimans and Ho 2022)."""
        signal, spread = self._levels(timestep)
        if (parts := self._preconditioned(timestep, spread)) is not None:
            return (clean - parts[0] * (signal * clean + spread * noise)) / parts[1]
        length = math.hypot(signal, spread)
        targets = {
            "velocity": clean - noise if self.inverted else noise - clean, "epsilon": noise, "sample": clean,
            "v_prediction": (signal * noise - spread * clean) / length,
        }  # fmt: skip
        return targets[self._known()]

    def guess(self, prediction: Tensor, shown: Tensor, timestep: float) -> Tensor:
        """x_0 that follows from x_t and what the denoiser predicts."""
        signal, spread = self._levels(timestep)
        if (parts := self._preconditioned(timestep, spread)) is not None:
            return parts[0] * shown + parts[1] * prediction
        length = math.hypot(signal, spread)
        guesses = {
            "velocity": shown + (spread if self.inverted else -spread) * prediction,
            "epsilon": (shown - spread * prediction) / signal,
            "sample": prediction, "v_prediction": (signal * shown / length - spread * prediction) / length,
        }  # fmt: skip
        return guesses[self._known()]

    def _preconditioned(self, timestep: float, spread: float) -> tuple[float, float] | None:
        """c_skip and c_out of x_0 = c_skip x_t + c_out prediction (Karras et al. 2022), by the scheduler's own rule;
        None for one that has none."""
        held = self.at(timestep)
        if not hasattr(held, "precondition_outputs"):
            return None
        one, none, sigma = torch.ones(1), torch.zeros(1), torch.tensor(spread)
        skip, out = (float(held.precondition_outputs(*pair, sigma)) for pair in ((one, none), (none, one)))
        return skip, out

    def _known(self) -> str:
        kind = self.prediction()
        if kind not in ("velocity", "epsilon", "sample", "v_prediction"):
            raise NexusError(f"The scheduler predicts '{kind}'; known are velocity, epsilon, v_prediction and sample.")
        return kind

    def _levels(self, timestep: float) -> tuple[float, float]:
        """a and s of x_t = a x_0 + s e: what the scheduler's own noising makes of ones and zeros."""
        one, none = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
        signal, spread = (float(noised(self.at(timestep), *pair).double()) for pair in ((one, none), (none, one)))
        return max(signal, 1e-6), spread

    def _table(self) -> tuple[Tensor, Tensor | None]:
        own = copy.deepcopy(self.scheduler)
        between = "intermediate_timesteps"
        more = {between: None} if between in inspect.signature(own.set_timesteps).parameters else {}
        why: Exception | None = None
        try:
            own.set_timesteps(self.train, **more)
        except Exception as error:                          # one that shifts by the picture's size needs that size
            why = error
        found = getattr(own, "timesteps", 0)
        if found is None:
            raise self._wrong(f"has no timesteps with it ({why})")
        timesteps = torch.as_tensor(found).cpu()
        if type(own).__name__ in CLOSED:
            timesteps = timesteps[:-1]
        if timesteps.ndim == 0 or not len(timesteps):
            timesteps = torch.arange(self.train).flip(0)
        sigmas = getattr(own, "sigmas", None)
        self._check(timesteps, sigmas if isinstance(sigmas, Tensor) else None)
        fits = isinstance(sigmas, Tensor) and len(sigmas) >= len(timesteps)
        return timesteps, sigmas[: len(timesteps)].cpu() if fits else None

    def _check(self, timesteps: Tensor, sigmas: Tensor | None) -> None:
        """NexusError for noise that is no number, is more than all or never any, or of which there is too little."""
        if not all(bool(each.isfinite().all()) for each in (timesteps, sigmas) if each is not None):
            raise self._wrong("has timesteps or noise with it that are no finite numbers")
        kept = getattr(self.scheduler, "alphas_cumprod", None)
        if not isinstance(kept, Tensor):
            return
        if len(kept) < self.train:
            raise self._wrong(f"has noise for {len(kept)} of its {self.train} timesteps (trained_betas)")
        betas = getattr(self.scheduler, "betas", kept)
        within = all(bool(((each >= 0) & (each <= 1)).all()) for each in (kept, betas))
        if not within or float(kept.min()) == 1:
            raise self._wrong("keeps less than nothing of a picture, more than all of it, or all of it, always")

    def _wrong(self, what: str) -> NexusError:
        config = dict(self.scheduler.config)
        said = {name: config[name] for name in TOLD if name in config}
        return NexusError(
            f"The scheduler, a {type(self.scheduler).__name__}, {what}. Its scheduler_config.json says: "
            f"{', '.join(f'{name} {str(value)[:40]}' for name, value in said.items())}. Fetch it again."
        )

    def _place(self, timestep: float) -> tuple[Tensor, Tensor | None]:
        """The timestep and its noise level."""
        if self.flow and self.sigmas is not None:
            held = torch.tensor(float(timestep)).to(self.timesteps.dtype)
            level = float(held) / self.train
            return held, torch.tensor(1 - level if self.inverted else level)
        if type(self.scheduler).__name__ in CLOSED:         # no table: every number is a timestep
            return torch.tensor(float(timestep)), None
        place = int((self.timesteps.double() - timestep).abs().argmin())
        return self.timesteps[place], None if self.sigmas is None else self.sigmas[place]


@functools.cache
def _held(kind: type[SchedulerMixin]) -> type[SchedulerMixin]:
    """A scheduler that stays at `self.held` (timestep, noise level), whatever it is asked for."""

    @functools.wraps(kind.set_timesteps)
    def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> None:
        timestep, sigma = self.held
        device = kwargs.get("device") or next((each for each in args if isinstance(each, (str, torch.device))), None)
        self.num_inference_steps = 1
        end = (torch.zeros_like(timestep),) if self.closed else ()
        self.timesteps = torch.stack([timestep, *end]).to(device=device)
        if sigma is not None:
            self.sigmas = torch.stack([sigma, torch.zeros_like(sigma)])
        for name in ("_step_index", "_begin_index", "_timesteps"):
            if name in self.__dict__:
                self.__dict__[name] = self.timesteps.cpu().numpy() if name == "_timesteps" else None
        for name in ("model_outputs", "timestep_list"):
            if name in self.__dict__:
                self.__dict__[name] = [None] * len(self.__dict__[name])
        self.lower_order_nums = 0

    noise_sigma = property(lambda _: 1.0, lambda *_: None)
    own: dict[str, Any] = {
        "set_timesteps": set_timesteps, "init_noise_sigma": noise_sigma, "__module__": kind.__module__,
    }  # fmt: skip
    if not hasattr(kind, "scale_model_input"):              # asked of all but its own class, by name (Bria)
        own["scale_model_input"] = lambda _, latents, *__: latents
    return type(kind.__name__, (kind,), own)


def can_noise(scheduler: Any) -> bool:
    """Whether there is a rule for noise on something clean, the scheduler's own as a rule."""
    return _angular(scheduler) or hasattr(scheduler, "scale_noise") or hasattr(scheduler, "add_noise")


def noised(scheduler: Any, clean: Tensor, noise: Tensor) -> Tensor:
    """x_t, by the scheduler's own rule, before its own scaling."""
    timesteps = scheduler.timesteps[:1].expand(len(clean))
    if _angular(scheduler):
        return timesteps[0].cos() * clean + timesteps[0].sin() * noise
    if getattr(scheduler, "added", False):
        return clean + float(scheduler.sigmas[0]) * noise
    add = getattr(scheduler, "scale_noise", None)
    if add is not None:
        return add(clean, timesteps, noise)
    if not hasattr(scheduler, "add_noise"):
        raise NexusError(f"{type(scheduler).__name__} cannot noise clean latents. Leave the pictures out.")
    return scheduler.add_noise(clean, noise, timesteps.long() if _whole(timesteps) else timesteps)


def _angular(scheduler: Any) -> bool:
    """Whether timesteps are the angle between clean and noise (TrigFlow: Lu and Song 2024)."""
    return getattr(scheduler.config, "prediction_type", "") == "trigflow"


def _whole(timesteps: Sequence[Any] | Tensor) -> bool:
    return not torch.is_tensor(timesteps) or not timesteps.is_floating_point() or bool((timesteps % 1 == 0).all())
