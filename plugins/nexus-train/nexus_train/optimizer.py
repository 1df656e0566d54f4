"""Muon for the matrices between hidden states, AdamW for the rest, one schedule for both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from .muon import Muon
from .options import TrainOptions
from .schedule import share

OUTER = ("embed", "head", "classifier", "vocab", "latent", "position", "gate", "words", "loss.")
"""Parts of names whose matrices face tokens, classes or teachers, or are no maps at all: AdamW's."""

BETAS = (0.9, 0.98)


class Optimizer:
    """Both optimisers over named parameters."""

    def __init__(self, named: Mapping[str, Parameter], options: TrainOptions, dtype: torch.dtype) -> None:
        inner, outer = partition(named.items())
        self.named, self.options = dict(named), options
        self.muon = Muon(inner, weight_decay=options.weight_decay, dtype=dtype)
        self.outer, groups = outer, [{"params": list(outer.values())}] if outer else []
        decay = options.weight_decay
        self.adamw = torch.optim.AdamW(groups, betas=BETAS, weight_decay=decay, fused=True) if groups else None

    def step(self, step: int) -> bool:
        """Clips, updates at the rate of this step, and drops the gradients. False, and no update, where one of them is
        no number: a weight that it reached would never be one again."""
        options = self.options
        gradients = [each.grad for each in self.named.values() if each.grad is not None]
        norm = get_total_norm(gradients)
        if not norm.isfinite():
            return False
        if options.clip:
            clip_grads_with_norm_(self.named.values(), options.clip, norm)
        part = share(step, options.steps, options.warmup, options.decay)
        self.muon.step(options.matrix_learning_rate * part)
        if self.adamw is not None:
            self.adamw.param_groups[0]["lr"] = options.learning_rate * part
            self.adamw.step()
        for parameter in self.named.values():
            parameter.grad = None
        return True

    def state(self) -> dict[str, Tensor]:
        """All that it remembers, by name."""
        found = {f"muon/{name}": moment for name, moment in self.muon.state().items()}
        for name, parameter in self.outer.items():
            for key, value in self.adamw.state[parameter].items():
                found[f"adamw/{name}/{key}"] = value
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """What `state` gave."""
        self.muon.load(_under("muon/", state))
        for key, value in _under("adamw/", state).items():
            name, _, what = key.rpartition("/")
            self.adamw.state[self.outer[name]][what] = value.clone()


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def partition(named: Iterable[tuple[str, Parameter]]) -> tuple[dict[str, Parameter], dict[str, Parameter]]:
    """-> (matrices between hidden states, everything else)."""
    inner: dict[str, Parameter] = {}
    outer: dict[str, Parameter] = {}
    for name, parameter in named:
        is_inner = parameter.ndim == 2 and min(parameter.shape) > 1 and not any(word in name for word in OUTER)
        (inner if is_inner else outer)[name] = parameter
    return inner, outer
