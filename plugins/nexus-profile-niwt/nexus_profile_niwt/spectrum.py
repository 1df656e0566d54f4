"""Mean and covariance of states from a stream, and the basis they give. Shapes: N rows, D width, R rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from nexus_specs import Basis, Piece
from torch import Tensor

OUTLIER = 10.0
"""Rows this many times longer than the median are left out: attention sinks, not content."""


class Covariance:
    """Streaming mean and scatter matrix, merged as in Chan, Golub and LeVeque (1979): products in float32 around the
    chunk's own mean, sums in float64. Exact up to rounding, and equal for any split into chunks."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.mean = torch.zeros(width, dtype=torch.float64)
        self.scatter = torch.zeros(width, width, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Adds rows [N, D]."""
        if not len(rows):
            return
        mean = rows.double().mean(0)
        centred = (rows.double() - mean).float()
        self._merge(len(rows), mean, (centred.T @ centred).double())

    def merge(self, other: Covariance) -> None:
        """Adds what another one saw."""
        self._merge(other.count, other.mean, other.scatter)

    def _merge(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        if not count:
            return
        total, away = self.count + count, mean - self.mean
        self.scatter += scatter + torch.outer(away, away) * (self.count * count / total)
        self.mean += away * (count / total)
        self.count = total

    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Variances in falling order [D] and their directions [D, D], columns with a fixed sign."""
        values, vectors = torch.linalg.eigh(self.scatter / max(1, self.count - 1))
        values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
        largest = vectors.abs().argmax(0)
        return values, vectors * vectors.gather(0, largest[None]).sign()


class Spectra:
    """A sink that keeps nothing but covariances, by module path."""

    def __init__(self, *, skip: int, widths: Mapping[str, int] | None = None) -> None:
        self.skip = skip
        """Rows at the beginning of each sample that are left out: the start token."""
        self.widths = widths or {}
        """Of the states behind a module, where that is known."""
        self.found: dict[str, Covariance] = {}
        self.seen: set[tuple[str, tuple[str, ...]]] = set()

    def put(self, piece: Piece) -> None:
        """Adds the states of some samples, once: of a layer that they pass several times, those of the first time."""
        if (piece.tap, piece.keys) in self.seen:
            return
        self.seen.add((piece.tap, piece.keys))
        rows = without_outliers(torch.cat([self._rows(each, piece.tap) for each in piece.values]))
        if piece.tap not in self.found:
            self.found[piece.tap] = Covariance(rows.shape[1])
        self.found[piece.tap].add(rows)

    def _rows(self, states: Tensor, path: str) -> Tensor:
        """States as rows [T, D]: those of a convolution over a sound lie across, [D, T]."""
        width = self.widths.get(path, -1)
        across = states.ndim == 2 and states.shape[1] != width == states.shape[0]
        return (states.T if across else states)[self.skip :]

    def flush(self) -> None:
        """Nothing waits."""


def without_outliers(rows: Tensor) -> Tensor:
    """Rows [N, D] but those far longer than the median; all of them where most are zero."""
    lengths = rows.float().norm(dim=-1)
    median = lengths.median() if len(rows) else lengths.new_zeros(())
    return rows[lengths <= OUTLIER * median] if median > 0 else rows


def basis(covariance: Covariance, rank: int, variance: float) -> Basis:
    """The principal directions that hold `variance` of the variance, at most `rank`, under one isotropic scale: the
    root of the mean kept variance, so that predicting nothing has error 1 for every teacher."""
    values, vectors = covariance.spectrum()
    shares = values.cumsum(0) / values.sum().clamp(min=1e-30)
    kept = min(rank, int((shares < variance).sum()) + 1, len(values))
    return Basis(
        mean=covariance.mean.float(),
        directions=vectors[:, :kept].float().contiguous(),
        scale=max(float(values[:kept].mean().sqrt()), 1e-6),
    )


def bases(found: Mapping[str, Covariance], paths: Iterable[str], rank: int, variance: float) -> dict[str, Basis]:
    """The bases of these paths, less those whose states do not vary: they have no directions."""
    return {path: basis(found[path], rank, variance) for path in paths if bool(found[path].scatter.any())}
