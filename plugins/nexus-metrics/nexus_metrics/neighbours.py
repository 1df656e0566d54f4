"""How well embeddings tell labels apart: the nearest neighbours of each item vote. Shapes: n items, D numbers each."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample, Tap
from numpy.typing import NDArray

from .options import NeighbourOptions
from .ratio import numbers
from .references import references


class KnnAccuracy:
    """Kind "metric": the share of items whose label most of their nearest others have (cosine, leave one out); a row is
    [label, embedding], so that every draw of the bootstrap has its own neighbours."""

    taps = (Tap(path="embedding"),)

    def __init__(self, **options: Any) -> None:
        self.options = NeighbourOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "embedding" [D]; an empty row where there is no label."""
        pairs = zip(samples, outputs["embedding"], strict=True)
        return [self._row(sample.fields.get("label"), numbers(each).ravel()) for sample, each in pairs]

    def reduce(self, rows: Any) -> float:
        """The share; nan for fewer than two items."""
        kept = [row for row in rows if len(row)]
        if len(kept) < 2:
            return math.nan
        table = np.array(kept, np.float64)
        labels, vectors = table[:, 0], table[:, 1:]
        return float(np.mean([votes(labels, each, self.options.neighbours) == label
                              for label, each in zip(labels, _likeness(vectors), strict=True)]))  # fmt: skip

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The commonest label of the held-out items, given to all of them."""
        labels = references(held_out, "knn_accuracy", "label")
        return max(Counter(labels).values()) / len(labels)

    def _row(self, label: Any, vector: NDArray[np.float64]) -> tuple[float, ...]:
        return () if label is None else (float(_number(label)), *vector.tolist())


def votes(labels: NDArray[np.float64], likeness: NDArray[np.float64], neighbours: int) -> float:
    """The label that most of the nearest have; of equals, the one of the nearest."""
    nearest = [at for at in np.argsort(-likeness, kind="stable") if np.isfinite(likeness[at])][:neighbours]
    counts = Counter(labels[at] for at in nearest)
    return max(counts, key=lambda label: counts[label], default=math.nan)


def _likeness(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines [n, n]; -inf between an item and itself, also where a draw has it twice."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-12)
    found = unit @ unit.T
    same = np.unique(vectors, axis=0, return_inverse=True)[1].ravel()
    found[same[:, None] == same[None]] = -math.inf
    return found


def _number(label: Any) -> int:
    """A label as a number that is the same in every process."""
    if isinstance(label, str):
        return int.from_bytes(hashlib.sha256(label.encode()).digest()[:6], "big")
    if not hasattr(label, "__index__"):
        raise NexusError(f"knn_accuracy takes labels that are numbers or words, not {type(label).__name__}.")
    return int(label)
