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
from .references import known, references

SPARE, BLOCK = 32, 512
"""Neighbours that are kept beside four times those that vote; items whose likenesses are in memory at once."""


class KnnAccuracy:
    """Kind "metric": the share of items whose label most of their nearest others have (cosine, leave one out); a row is
    [label, embedding], so that every draw of the bootstrap has its own neighbours."""

    taps = (Tap(path="embedding"),)

    def __init__(self, **options: Any) -> None:
        self.options = NeighbourOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "embedding" [D]; an empty row where there is no label."""
        pairs = zip(samples, outputs["embedding"], strict=True)
        return [self._row(known(sample), numbers(each).ravel()) for sample, each in pairs]

    def reduce(self, rows: Any) -> float:
        """The share; nan for fewer than two items."""
        kept = [row for row in rows if len(row)]
        if len(kept) < 2:
            return math.nan
        table = np.array(kept, np.float64)
        labels, vectors = table[:, 0], table[:, 1:]
        return float(np.mean([votes(labels, each, self.options.neighbours) == label
                              for label, each in zip(labels, _likeness(vectors), strict=True)]))  # fmt: skip

    def reduce_many(self, rows: Any, picks: NDArray[np.int64]) -> NDArray[np.float64]:
        """The share of every draw [draws, n] of rows. -> [draws]. Who is near whom is found once: of a thousand items
        and two thousand draws anew it would take hours. An item that a draw has twice votes twice."""
        kept = np.array([len(row) > 0 for row in rows])
        if not kept.any():
            return np.full(len(picks), math.nan)
        table = np.array([row for row in rows if len(row)], np.float64)
        labels, places = np.unique(table[:, 0], return_inverse=True)[1].ravel(), np.cumsum(kept) - 1
        near = Near(table[:, 1:], labels, self.options.neighbours)
        return np.array([near.share(np.bincount(places[pick[kept[pick]]], minlength=len(table))) for pick in picks])

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The commonest label of the held-out items, given to all of them."""
        labels = references(held_out, "knn_accuracy", "label")
        return max(Counter(labels).values()) / len(labels)

    def _row(self, label: Any, vector: NDArray[np.float64]) -> tuple[float, ...]:
        return () if label is None else (float(_number(label)), *vector.tolist())


class Near:
    """Items in the order of their likeness to each item, as far as votes are likely to go."""

    def __init__(self, vectors: NDArray[np.float64], labels: NDArray[np.int64], neighbours: int) -> None:
        self.labels, self.neighbours, self.classes = labels, neighbours, int(labels.max()) + 1
        count = len(vectors)
        self.width = min(count, 4 * neighbours + SPARE)
        same = np.unique(vectors, axis=0, return_inverse=True)[1].ravel()
        self.unit, self.same = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), same
        parts = [self._order(np.arange(at, min(at + BLOCK, count)), self.width) for at in range(0, count, BLOCK)]
        self.order = np.concatenate([order for order, _ in parts])          # [n, width]
        self.there = np.concatenate([there for _, there in parts])

    def share(self, times: NDArray[np.int64]) -> float:
        """The share of right votes where each item [n] was drawn so many times; nan for fewer than two."""
        if times.sum() < 2:
            return math.nan
        drawn = np.flatnonzero(times)
        order, there = self.order[drawn], self.there[drawn]
        right = self._right(drawn, order, there, times)
        if self.width < len(times):                                         # few of its nearest were drawn
            short = (times[order] * there).sum(1) < self.neighbours
            for at in np.flatnonzero(short):
                right[at] = self._right(drawn[at : at + 1], *self._order(drawn[at : at + 1], len(times)), times)[0]
        return float((right * times[drawn]).sum() / times.sum())

    def _right(
        self, items: NDArray[np.int64], order: NDArray[np.int64], there: NDArray[np.bool_], times: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Whether most of the nearest have the label of each of these items."""
        until = np.minimum(np.cumsum(times[order] * there, axis=1), self.neighbours)
        taken = np.diff(until, axis=1, prepend=0)                           # [items, width]
        labels = self.labels[order]
        cells = np.arange(len(items))[:, None] * self.classes + labels
        totals = np.bincount(cells.ravel(), taken.ravel(), len(items) * self.classes)
        said = np.where(taken > 0, totals[cells], 0).argmax(1)              # of equals, the one of the nearest
        chosen = labels[np.arange(len(items)), said]
        found: NDArray[np.bool_] = (chosen == self.labels[items]) & (until[:, -1] > 0)
        return found

    def _order(self, items: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The nearest of all to each of these items, nearest first, and which of them are others."""
        likeness = self.unit[items] @ self.unit.T
        likeness[self.same[items][:, None] == self.same[None]] = -math.inf
        order = np.argsort(-likeness, axis=1, kind="stable")[:, :width]
        return order, np.isfinite(np.take_along_axis(likeness, order, axis=1))


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
