"""Muon for the hidden matrices, AdamW for the rest, and a schedule that warms up, stays and decays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long and how fast: `decay` is the share of the steps in which the rates fall to zero."""

    steps: int
    muon: float = 0.02
    adamw: float = 3e-3
    warmup: int = 50
    decay: float = 0.4
    weight_decay: float = 0.05


class Optimiser:
    """The two optimisers and their schedules, as one."""

    def __init__(self, model: nn.Module, pace: Pace) -> None:
        matrices, rest = partition(model.named_parameters())
        self.parameters = [*matrices, *rest]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=pace.muon, weight_decay=pace.weight_decay, momentum=0.95),
            torch.optim.AdamW(rest, lr=pace.adamw, weight_decay=pace.weight_decay, betas=(0.9, 0.98)),
        ]
        self.schedules = [LambdaLR(optimiser, lambda step: share(step, pace)) for optimiser in self.optimisers]

    def step(self, loss: torch.Tensor) -> None:
        """One update down the gradient of the loss."""
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimiser, schedule in zip(self.optimisers, self.schedules, strict=True):
            optimiser.step()
            schedule.step()
            optimiser.zero_grad(set_to_none=True)


def partition(named: Iterable[tuple[str, nn.Parameter]]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices between hidden states go to Muon; embeddings, heads, norms and biases to AdamW."""
    outer = ("embed", "lm_head", "classifier")
    matrices, rest = [], []
    for name, parameter in named:
        inner = parameter.ndim == 2 and not any(word in name for word in outer)
        (matrices if inner else rest).append(parameter)
    return matrices, rest


def share(step: int, pace: Pace) -> float:
    """The share of the full rate at a step: warm-up, plateau, linear decay to zero."""
    left = (pace.steps - step) / (pace.decay * pace.steps)
    return max(0.0, min(1.0, (step + 1) / pace.warmup, left))
