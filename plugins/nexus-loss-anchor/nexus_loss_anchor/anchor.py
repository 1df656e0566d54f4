"""Activation anchoring.

At each anchor (teacher layer l, student layer m), with the teacher's PCA basis (mean u, directions U [D, k], one
isotropic scale s = sqrt(mean kept eigenvalue)) and a linear head P on the student's side that is gone at release:

    z_T = U^T (h_T - u) / s,   z_S = P h_S,   L = |z_S - z_T|^2 / k + 1 - cos(z_S, z_T),   a(t) = max(0, 1 - t / until)

A zero predictor scores 1 on the first term for every teacher, so no teacher drowns another. Whitening is not used: it
was no better than no anchor (measured in this project; the scale is that of PHI-S, arXiv 2410.01680).
Shapes: B samples, T tokens, D width, R = k kept directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from nexus_specs import Link, NexusError, Signal, Tap
from torch import Tensor, nn
from torch.nn import functional

from .options import AnchorOptions


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One pair of layers and its share of the loss."""

    teacher: str
    student: str
    weight: float
    width: int
    rank: int


class ActivationAnchor:
    """Kind "loss": anchors at the most important layers that the link pairs."""

    def __init__(self, **options: Any) -> None:
        self.options = AnchorOptions(**options)

    def taps(self, link: Link) -> Sequence[Tap]:
        """The student's side of every anchor."""
        return tuple(Tap(path=anchor.student) for anchor in self._anchors(link))

    def bind(self, link: Link) -> AnchorHeads:
        """-> a module: loss(student, teacher) -> [B]; its heads are trained with the student."""
        anchors = self._anchors(link)
        if not anchors:
            raise NexusError(
                f"activation_anchor found no critical layer of '{link.profile.teacher}' with a basis and a counterpart "
                "in the student. Name the teachers it applies to in the registry (losses: teachers: [...]), or profile "
                "again with: nexus run --stage profile"
            )
        return AnchorHeads(anchors, self.options.until)

    def _anchors(self, link: Link) -> tuple[Anchor, ...]:
        importance = {layer.path: max(layer.importance, 0.0) for layer in link.profile.layers}
        ranked = sorted(link.anchors, key=lambda pair: -importance.get(pair[0], 0.0))
        chosen = {student: teacher for teacher, student in reversed(ranked)}
        kept = [(teacher, student) for teacher, student in ranked if chosen[student] == teacher][: self.options.count]
        total = sum(importance.get(teacher, 0.0) for teacher, _ in kept)
        return tuple(
            Anchor(
                teacher=teacher,
                student=student,
                weight=importance.get(teacher, 0.0) / total if total else 1 / len(kept),
                width=_width(link, student),
                rank=link.bases[teacher].directions.shape[1],
            )
            for teacher, student in kept
        )


class AnchorHeads(nn.Module):
    """The bound loss. `progress` in [0, 1] is set by training; from `until` on the value is zero."""

    def __init__(self, anchors: Sequence[Anchor], until: float) -> None:
        super().__init__()
        self.anchors, self.until, self.progress = tuple(anchors), until, 0.0
        self.heads = nn.ModuleList(nn.Linear(anchor.width, anchor.rank) for anchor in anchors)

    @property
    def strength(self) -> float:
        """a(t): from 1 down to 0."""
        return max(0.0, 1.0 - self.progress / self.until)

    def forward(self, student: Signal, teacher: Signal) -> Tensor:
        """[B]: the weighted sum over the anchors of each sample's mean over its real positions."""
        first = student.states[self.anchors[0].student]
        if not self.strength:
            return first.new_zeros(len(first))
        pairs = zip(self.anchors, self.heads, strict=True)
        return self.strength * torch.stack([self._at(anchor, head, student, teacher) for anchor, head in pairs]).sum(0)

    def _at(self, anchor: Anchor, head: nn.Module, student: Signal, teacher: Signal) -> Tensor:
        state, target = student.states[anchor.student], self._recorded(anchor, teacher)
        return anchor.weight * _term(head, state, target, teacher.mask, student.mask)

    def _recorded(self, anchor: Anchor, teacher: Signal) -> Tensor:
        if anchor.teacher not in teacher.states:
            raise NexusError(
                f"The shards hold no states at '{anchor.teacher}', only at {', '.join(teacher.states) or 'no layer'}. "
                "Extract again with: nexus run --stage extract"
            )
        return teacher.states[anchor.teacher]


def _term(head: nn.Module, state: Tensor, target: Tensor, mask: Tensor | None, own: Tensor | None) -> Tensor:
    """[B, T, D] of the student, [B, T, R] of the teacher, and the mask of each -> [B]."""
    real = target.new_ones(target.shape[:2]) if mask is None else mask.to(target.dtype)
    if state.shape[1] != target.shape[1]:  # other patches than the teacher's: only the means have a counterpart
        there = state.new_ones(state.shape[:2])
        there = own.to(state.dtype) if own is not None and own.shape == there.shape else there
        state, target = _mean(state, there)[:, None], _mean(target, real)[:, None]
        real = target.new_ones(target.shape[:2])
    return _mean(error(head(state).to(target.dtype), target)[..., None], real)[:, 0]


def error(found: Tensor, target: Tensor) -> Tensor:
    """[..., R], [..., R] -> [...]: mean square plus one minus cosine."""
    return (found - target).square().mean(-1) + 1 - functional.cosine_similarity(found, target, dim=-1)


def _mean(values: Tensor, real: Tensor) -> Tensor:
    """[B, T, R] -> [B, R]: the mean over the real positions."""
    return (values * real[..., None]).sum(1) / real.sum(1, keepdim=True).clamp_min(1)


def _width(link: Link, path: str) -> int:
    """The width of a student's layer, from its blueprint."""
    for stack in link.student.stacks:
        if path in stack.layers and (width := stack.widths[stack.layers.index(path)]) > 0:
            return width
    raise NexusError(
        f"activation_anchor does not know the width of the student's layer '{path}'. Name the teachers that it applies "
        "to in the registry: losses: - {name: activation_anchor, teachers: [...]}"
    )
