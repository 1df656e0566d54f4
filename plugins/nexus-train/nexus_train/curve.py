"""The figures of a training: means over intervals of steps. No timings, so that artefacts are the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

POINTS = 50


class Curve:
    """About fifty points over all steps, however many there are."""

    def __init__(self, steps: int, facts: Mapping[str, Any] | None = None) -> None:
        facts = facts or {}
        self.every = max(1, steps // POINTS)
        self.points: list[dict[str, float]] = list(facts.get("points", ()))
        self.sums: dict[str, float] = dict(facts.get("sums", {}))
        self.counts: dict[str, int] = dict(facts.get("counts", {}))

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures of one step, counted from zero."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        if (step + 1) % self.every == 0:
            self.points.append({"step": step + 1, **self.means()})
            self.sums, self.counts = {}, {}

    def means(self) -> dict[str, float]:
        """Since the last point."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}

    def facts(self) -> dict[str, Any]:
        """What `facts` of the constructor takes."""
        return {"points": self.points, "sums": self.sums, "counts": self.counts}

    def table(self, title: str, rows: int = 10) -> dict[str, Any]:
        """For `nexus show`: some points of the curve."""
        names = sorted({name for point in self.points for name in point} - {"step", "loss"})
        shown = self.points[:: max(1, len(self.points) // rows)]
        shown = shown if not self.points or shown[-1] is self.points[-1] else [*shown, self.points[-1]]
        return {
            "title": title,
            "columns": ["step", "loss", *names],
            "rows": [[point.get(name) for name in ("step", "loss", *names)] for point in shown],
            "notes": [f"Means over {self.every} steps each."],
        }
