"""Collated samples, kept where all are of one shape: media of a fixed size go through their processor once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from nexus_specs import Batch, Sample, Student
from torch import Tensor

CHUNK = 64


class Rows:
    """Batches of a student's samples, by position."""

    def __init__(self, student: Student, samples: Sequence[Sample], limit: int) -> None:
        self.student, self.samples = student, samples
        self.kept = _collated(student, samples, limit)

    def batch(self, positions: Sequence[int]) -> Batch:
        """What `student.collate` gives for these samples."""
        if self.kept is None:
            return self.student.collate([self.samples[at] for at in positions])
        index = torch.tensor(positions)
        return {name: item[index] if isinstance(item, Tensor) else item for name, item in self.kept.items()}


def _collated(student: Student, samples: Sequence[Sample], limit: int) -> dict[str, Any] | None:
    """Every sample in one batch, or None where shapes differ (text) or it would take more than `limit` bytes."""
    pieces: list[dict[str, Any]] = []
    for first in range(0, len(samples), CHUNK):
        piece = dict(student.collate(samples[first : first + CHUNK]))
        if not _fits(piece, pieces, len(samples), limit):
            return None
        pieces.append(piece)
    return {name: _joined([piece[name] for piece in pieces]) for name in pieces[0]}


def _fits(piece: dict[str, Any], pieces: Sequence[dict[str, Any]], count: int, limit: int) -> bool:
    tensors = [item for item in piece.values() if isinstance(item, Tensor)]
    if not tensors or "input_ids" in piece:         # tokens are padded to the longest of their batch
        return False
    size = sum(item.nbytes // len(item) for item in tensors) * count
    return size <= limit and (not pieces or _shape(piece) == _shape(pieces[0]))


def _shape(piece: dict[str, Any]) -> dict[str, Any]:
    return {name: item.shape[1:] if isinstance(item, Tensor) else item for name, item in piece.items()}


def _joined(items: Sequence[Any]) -> Any:
    return torch.cat(list(items)) if isinstance(items[0], Tensor) else items[0]
