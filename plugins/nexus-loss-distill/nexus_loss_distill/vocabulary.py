"""Log-probabilities under a vocabulary head, without holding a whole batch of logits.

Shapes: B samples, T tokens, D width, V vocabulary, K listed tokens, N positions that have a successor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from nexus_specs import NexusError, Signal
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

STEP = 64
"""What numbers of positions that meet a vocabulary are multiples of, on a processor."""
Values = Callable[..., Tensor]


@dataclass(frozen=True, kw_only=True)
class Positions:
    """The real positions of a batch that predict an observed token: position t predicts token t + 1."""

    where: Tensor
    """[B, T - 1] of bool."""
    rows: Tensor
    """[N]: the sample of each position."""

    def pick(self, values: Tensor) -> Tensor:
        """[B, T, ...] -> [N, ...]: what stands at the predicting positions."""
        return values[:, :-1][self.where]

    def successors(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [N]: the observed tokens."""
        return tokens[:, 1:][self.where].long()

    def means(self, values: Tensor) -> Tensor:
        """[N] -> [B]: the mean of each sample, zero for one without positions."""
        count = self.where.sum(1).clamp_min(1)
        return values.new_zeros(len(self.where)).index_add(0, self.rows, values) / count


def positions(student: Signal) -> Positions:
    """The positions that count, from the student's mask (all of them without one)."""
    mask = torch.ones_like(student.tokens, dtype=torch.bool) if student.mask is None else student.mask.bool()
    where = mask[:, 1:] & mask[:, :-1]
    return Positions(where=where, rows=where.nonzero()[:, 0])


def over_vocabulary(hidden: Tensor, student: Signal, values: Values, extra: tuple[Tensor, ...], at_once: int) -> Tensor:
    """`values(logits [n, V], *extra [n, ...]) -> [n]` at every position, in chunks of at most `at_once` logits.

    Logits come in the precision of the head. One chunk keeps its own for the backward pass, several make them again.
    """
    head = student.head
    if head is None:
        raise NexusError("The student gives no vocabulary head; this loss needs text or a class head ('output').")

    def piece(states: Tensor, *rest: Tensor) -> Tensor:
        return values(head(_evened(states))[: len(states)], *rest)

    width = head(hidden[:1].detach()).shape[-1] if len(hidden) else 1
    size = max(1, at_once // width)
    if len(hidden) <= size:
        return piece(hidden, *extra)
    parts = zip(*(tensor.split(size) for tensor in (hidden, *extra)), strict=True)
    return torch.cat([checkpoint(piece, *part, use_reentrant=False) for part in parts])


def _evened(states: Tensor) -> Tensor:
    """Zeros after the last position, up to a multiple of `STEP`: [n, D] -> [n', D].

    oneDNN writes machine code for every new shape of a product, and every batch has another number of positions.
    """
    if states.device.type != "cpu" or len(states) <= STEP:
        return states
    return functional.pad(states, (0, 0, 0, -len(states) % STEP))


def precise(values: Tensor) -> Tensor:
    """At least float32: sums over a vocabulary are no work for half precision."""
    return values if values.dtype == torch.float64 else values.float()
