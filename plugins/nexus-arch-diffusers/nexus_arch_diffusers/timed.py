"""One denoiser at several timesteps of each sample, in one forward. Shapes: B samples, S timesteps."""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor, nn

from .rows import LAYERED, SHARED


def at_timesteps(module: nn.Module, time: str, main: str) -> nn.Module:
    """The same module, whose forward takes `time` as [B, S] and its `main` input as [B, S, ...], and everything else
    once for each sample; its answer has B * S rows, those of one sample beside each other."""
    module.__class__ = _timed(type(module), time, main)
    return module


@functools.cache
def _timed(kind: type[nn.Module], time: str, main: str) -> type[nn.Module]:
    def forward(self: nn.Module, **given: Any) -> Any:
        moments: Tensor = given[time]
        batch, times = moments.shape[:2]

        def spread(name: str, value: Any) -> Any:
            if name in (time, main):
                return value.flatten(0, 1) if isinstance(value, Tensor) else [row for each in value for row in each]
            if isinstance(value, dict):
                return {key: spread(key, each) for key, each in value.items()}
            if isinstance(value, tuple):
                return tuple(spread(name, each) for each in value)
            if isinstance(value, list) and len(value) == batch:
                return [each for each in value for _ in range(times)]
            if name in LAYERED and isinstance(value, Tensor):
                return value.repeat_interleave(times, 1)
            each_own = isinstance(value, Tensor) and value.ndim > 0 and len(value) == batch
            return value if not each_own or name in SHARED else value.repeat_interleave(times, 0)

        return kind.forward(self, **{name: spread(name, value) for name, value in given.items()})

    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
