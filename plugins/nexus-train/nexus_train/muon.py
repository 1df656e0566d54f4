"""Muon: momentum whose matrix update is orthogonalised (Keller Jordan 2024; as `torch.optim.Muon`).

Equal shapes are orthogonalised together, in one batched product, which takes half the time of one by one on a CPU.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


class Muon:
    """Nesterov momentum, orthogonalised, for named matrices; weight decay is decoupled."""

    def __init__(
        self, matrices: Mapping[str, Parameter], *, weight_decay: float, dtype: torch.dtype, momentum: float = 0.95
    ) -> None:
        self.matrices, self.weight_decay, self.momentum, self.dtype = dict(matrices), weight_decay, momentum, dtype
        self.moments = {name: torch.zeros_like(matrix) for name, matrix in matrices.items()}

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update; a matrix without a gradient stays as it is."""
        shapes: dict[torch.Size, list[str]] = defaultdict(list)
        for name, matrix in self.matrices.items():
            if matrix.grad is not None:
                shapes[matrix.shape].append(name)
        for shape, names in shapes.items():
            self._update(names, rate, math.sqrt(max(1.0, shape[0] / shape[1])))

    def _update(self, names: list[str], rate: float, factor: float) -> None:
        matrices, moments = ([source[name] for name in names] for source in (self.matrices, self.moments))
        gradients = [matrix.grad for matrix in matrices]
        torch._foreach_lerp_(moments, gradients, 1 - self.momentum)
        directions = torch._foreach_lerp(gradients, moments, self.momentum)
        updates = orthogonal(torch.stack(directions).to(self.dtype)).to(matrices[0].dtype)
        torch._foreach_mul_(matrices, 1 - rate * self.weight_decay)
        torch._foreach_add_(matrices, list(updates), alpha=-rate * factor)

    def state(self) -> dict[str, Tensor]:
        """Its momenta, by matrix."""
        return self.moments

    def load(self, state: Mapping[str, Tensor]) -> None:
        """What `state` gave."""
        for name, moment in self.moments.items():
            moment.copy_(state[name])


def orthogonal(matrices: Tensor) -> Tensor:
    """[n, r, c] -> about the nearest semi-orthogonal matrices: the quintic Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
