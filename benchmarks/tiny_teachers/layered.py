"""Layer by layer: at least three samples, each a batch of its own and on its way at the same time as the others, give
what they give through the whole model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from nexus_specs import Budget, Piece, Sample, Tap, content_key
from torch import Tensor

FEWEST = 3


class Collected:
    """A sink that keeps everything: (tap, key) -> value."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Tensor] = {}

    def put(self, piece: Piece) -> None:
        """Takes a piece."""
        for key, value in zip(piece.keys, piece.values, strict=True):
            self.values[piece.tap, key] = value.clone()

    def flush(self) -> None:
        """Everything is kept as it comes."""


def several(samples: Sequence[Sample]) -> list[Sample]:
    """The samples, and where they are few, others made of them: numbers moved by a place, texts with more words."""
    found = list(samples)
    while len(found) < FEWEST:
        fields = {name: _other(value) for name, value in found[-len(samples)].fields.items()}
        found.append(Sample(key=content_key(fields), fields=fields))
    assert len({each.key for each in found}) == len(found), "samples that are alike show nothing"
    return found


def _other(value: Any) -> Any:
    if isinstance(value, str):
        return value + " and more"
    if isinstance(value, np.ndarray) and value.dtype.kind in "fu":
        return np.roll(value, 1, axis=-1)
    return value


def unlike(engine: Any, checkpoint: Any, samples: Sequence[Sample], paths: Sequence[str]) -> list[str]:
    """The layers, and the parts of the output, that are not the same to the bit."""
    own = several(samples)
    with engine.load(checkpoint, Budget(micro_batch=1, residency="resident")) as teacher:
        batch = checkpoint.collate(own[:1])
        names = checkpoint.read(teacher.module(**batch), batch).outputs
        taps = [Tap(path=path) for path in dict.fromkeys((*paths, *names))]
        whole = _observed(teacher, own, taps)
    with engine.load(checkpoint, Budget(micro_batch=1, residency="stream")) as teacher:
        parts = _observed(teacher, own, taps)
    assert whole
    assert set(whole) == set(parts), "other states are given layer by layer"
    return sorted({tap for tap, key in whole if not torch.equal(whole[tap, key], parts[tap, key])})


def _observed(teacher: Any, samples: Sequence[Sample], taps: Sequence[Tap]) -> dict[tuple[str, str], Tensor]:
    sink = Collected()
    torch.manual_seed(0)
    teacher.observe(samples, taps, sink)
    return sink.values
