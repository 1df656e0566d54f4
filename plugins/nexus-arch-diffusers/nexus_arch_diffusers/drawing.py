"""Where a pipeline draws the noise that it begins with: in a method of its own, or in its call (DDPM, DiT)."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import types
from collections.abc import Callable
from functools import cache
from typing import Any

from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .schedule import can_noise, noised

DRAW = "randn_tensor"
"""diffusers' own drawing of noise, as the modules of pipelines name it."""
PREPARE = ("prepare_latents", "prepare_intermediate_images")
"""What pipelines call their drawing of noise, those that work on pixels the second (DeepFloyd IF)."""

BESIDE = "prepare_audio_latents"
"""What draws the latents of a sound that is made with a film (LTX-2)."""


def drawer(pipeline: Any) -> Callable[..., Any] | None:
    """What draws a pipeline's latents, the pipeline first among its arguments; None where nothing is known to."""
    for name in PREPARE:
        if hasattr(pipeline, name):
            return getattr(type(pipeline), name)  # type: ignore[no-any-return]
    return _drawn if _draws(type(pipeline)) else None


def with_draw(pipe: Any, call: Callable[..., Any], draw: Callable[..., Any]) -> Callable[..., Any]:
    """The call of a pipeline, with `draw` in the place of what draws its latents: a method of `pipe`, or the first that
    is drawn."""
    for name in PREPARE:
        if hasattr(pipe, name):
            setattr(pipe, name, draw)
            return call
    waiting = [draw]
    return twin(call, **{DRAW: lambda *shape, **how: (waiting.pop() if waiting else randn_tensor)(*shape, **how)})


def noised_beside(pipe: Any, scheduler: Any) -> None:
    """The noise of the sound beside a film is as strong as the scheduler says too."""
    native = getattr(pipe, BESIDE, None)
    if native is None or not can_noise(scheduler):
        return

    @functools.wraps(native)
    def prepare(*args: Any, **kwargs: Any) -> Any:
        made = native(*args, **kwargs)
        if kwargs.get("latents") is not None:               # a sound that somebody gave
            return made
        noise = first(made)
        shown = noised(scheduler, noise * 0, noise).to(noise.dtype)
        return (shown, *made[1:]) if isinstance(made, tuple) else shown

    setattr(pipe, BESIDE, prepare)


def twin(function: Any, **names: Any) -> Callable[..., Any]:
    """The same function, for which some names of its module mean something else."""
    made = types.FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__,
                              function.__defaults__, function.__closure__)  # fmt: skip
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def first(made: Any) -> Tensor:
    """The latents of what a pipeline makes to begin with: some give conditions beside them."""
    return made[0] if isinstance(made, tuple) else made


def giving(native: Callable[..., Any], pipe: Any, latents: Tensor) -> Callable[..., Any]:
    """A pipeline's making of latents, these in their place."""

    @functools.wraps(native)
    def prepare(*args: Any, **kwargs: Any) -> Any:
        made = native(pipe, *args, **kwargs)
        return (latents, *made[1:]) if isinstance(made, tuple) else latents

    return prepare


def _drawn(_: Any, *shape: Any, **how: Any) -> Any:
    return randn_tensor(*shape, **how)


@cache
def _draws(kind: type[Any]) -> bool:
    """Whether a pipeline's call draws noise once, before any loop."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(kind.__call__))))
    except (OSError, TypeError, SyntaxError):
        return False
    looped = {id(each) for loop in ast.walk(tree) if isinstance(loop, ast.For) for each in ast.walk(loop)}
    drawn = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and getattr(each.func, "id", "") == DRAW]
    return bool(drawn) and not any(id(each) in looped for each in drawn)
