"""How much a forward over one sound or picture has at one time, where no configuration says how large its states are:
codecs, and what grows narrower and wider. As for texts (`alive`) its own code runs on the meta device."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from .alive import Following, Fused


def passing(module: Any, batch: Mapping[str, Any]) -> int:
    """Values that are there at most beside weights, those included that a convolution takes for itself; 0 where it does
    not run without numbers. `module` is on the meta device, and of no use behind it."""
    given = {name: each.to("meta") if isinstance(each, Tensor) else each for name, each in batch.items()}
    module.eval()
    with suppress(Exception), _Convolving(module) as following, Mixed(), torch.no_grad():
        module(**given)
        return int(following.most)
    return 0


class Mixed(Fused):
    """Buffers are real, and meet what is not; a recurrent network would run step by step."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        if len({each.is_meta for each in given}) > 1:
            args, kwargs = tree_map(as_meta, args), tree_map(as_meta, kwargs)
        if getattr(func, "__name__", "") == "lstm" and isinstance(args[0], Tensor) and args[0].is_meta:
            (long, short), both = args[1], 2 if args[-2 if isinstance(args[-1], bool) else -1] is True else 1
            return args[0].new_empty(*args[0].shape[:-1], short.shape[-1] * both), long.clone(), short.clone()
        return super().__torch_function__(func, types, args, kwargs)


def as_meta(given: Any) -> Any:
    """A single number stays: it says sizes."""
    return given.to("meta") if isinstance(given, Tensor) and given.ndim else given


class _Convolving(Following):
    """What a convolution makes it turns, and has twice. What is real is small."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [each for each in tree_leaves((args, kwargs or {})) if isinstance(each, Tensor)]
        if given and not any(each.is_meta for each in given):
            return func(*args, **(kwargs or {}))
        output = super().__torch_dispatch__(func, types, args, kwargs)
        if func is torch.ops.aten.convolution.default:
            there = sum(values for _, values in self.live.values())
            self.most = max(self.most, there + output.numel())
        return output
