"""What takes the place of a pipeline's models while its call is led: encoders that remember, denoisers that stop it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

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
    clean: Tensor | None = None


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
        if name == "to":
            return self._moved
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

    def _moved(self, *_: Any, **__: Any) -> StandIn:
        """Itself: where a model is, and in which precision, its engine says (SDXL would make its VAE a single one)."""
        return self

    def _recorded(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        memory = self._memory
        memory.asked.add(name)
        if memory.at == len(memory.answers):
            memory.answers.append(_seeded(function(*map(self._fitting, args), **kwargs)))
        memory.at += 1
        return memory.answers[memory.at - 1]

    def _fitting(self, value: Any) -> Any:
        """A picture in the model's own precision."""
        dtype = getattr(self._model, "dtype", None)
        floats = isinstance(value, Tensor) and value.is_floating_point() and isinstance(dtype, torch.dtype)
        return value.to(dtype) if floats else value


def _seeded(answer: Any) -> Any:
    """A VAE's answer of which a sample that no generator draws is the middle: some pipelines draw their control picture
    anew at each call (Stable Diffusion 3, CogView 4), and what a sample is given would be another in other company."""
    posterior = getattr(answer, "latent_dist", None)
    if posterior is not None:
        native = posterior.sample
        posterior.sample = lambda generator=None: posterior.mode() if generator is None else native(generator)
    return answer


class Answer(tuple[Any, ...]):
    """What a denoiser or a scheduler's step gives, as a pipeline may ask for it: the first, both (the next latents and
    the clean ones that are guessed: LCM; film and sound: LTX-2), or by name."""

    def __new__(cls, value: Any, beside: Any = None) -> Answer:
        """The value, and what is beside it; else the value, twice."""
        return super().__new__(cls, (value, value if beside is None else beside))

    @classmethod
    def together(cls, answers: Sequence[Answer]) -> Answer:
        """Those of several samples as one."""
        return cls(*(torch.stack([each[at] for each in answers]) for at in range(2)))

    @property
    def sample(self) -> Any:
        """What is predicted, or the latents that follow."""
        return self[0]

    prev_sample = pred_original_sample = predicted_image_embedding = sample
