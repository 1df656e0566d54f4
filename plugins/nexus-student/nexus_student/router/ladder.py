"""Who answers: the decision ladder.

1. Modalities decide before anything learned does: only towers that take what the sample has are asked, and where
   something is seen or heard, only towers that see or hear it. Of several that take the same, a text beside it decides
   as in 2 to 4; without one the first by name answers and the others are named, since no pixel is looked at here.
2. Each row scores the raw text against the background. One that is sure (probability at least `SURE` among the towers)
   answers, if its own texts ever score as low as this one does, and have as little in common with the rest of them.
3. Two that are sure together answer together if they use the same vocabulary, else the likelier one alone.
4. Else a tower whose keywords the text holds; else the bare core.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_specs import NexusError

from ..specs import TowerSpec, read_spec
from .features import encoded, features
from .row import Row, read_row, words

SURE = 0.8
"""Probability at which one tower, or two, answer without keywords."""
ENOUGH = 2
"""Different keywords that a text must hold."""
MEDIA = ("image", "audio", "video")


@dataclass(frozen=True)
class Decision:
    """The towers that answer, with their shares (none: the bare core), and on what ground."""

    towers: Mapping[str, float]
    ground: str
    """"forced", "modality", "sure", "pair", "likelier", "keywords" or "core"."""
    scores: Mapping[str, float] | None = None
    """Probabilities of the towers that were asked."""
    others: tuple[str, ...] = ()
    """Towers that take the same media and were passed over by name alone: nothing told them apart."""

    @property
    def key(self) -> tuple[tuple[str, float], ...]:
        """Equal for samples that one batch may hold."""
        return tuple(sorted(self.towers.items()))


class Router:
    """Rows of towers, and the ladder."""

    def __init__(self, specs: Mapping[str, TowerSpec], rows: Mapping[str, Row]) -> None:
        self.specs, self.rows = specs, rows

    @classmethod
    def read(cls, towers: Mapping[str, Path]) -> Router:
        """The router of towers' folders: small files only, no weights of a tower."""
        rows = {name: row for name, folder in towers.items() if (row := read_row(folder)) is not None}
        return cls({name: read_spec(folder) for name, folder in towers.items()}, rows)

    def decide(self, fields: Mapping[str, Any]) -> Decision:
        """Who answers a sample with these fields."""
        seen = [name for name in MEDIA if name in fields]
        able = [name for name, spec in self.specs.items() if _takes(spec, seen, fields)]
        if seen and not able:
            raise NexusError(
                f"No tower takes {' and '.join(seen)}. Towers: "
                + (
                    ", ".join(f"{name} ({', '.join(spec.takes)})" for name, spec in sorted(self.specs.items()))
                    or "none"
                )
            )
        if seen and (len(able) == 1 or "text" not in fields):
            return _first(able)
        return self._by_text(able, str(fields.get("text", "")), seen)

    def _by_text(self, able: list[str], text: str, seen: list[str]) -> Decision:
        found, fits = self.probabilities(able, text)
        ranked = sorted(found, key=lambda name: (-found[name], name))
        if fits and found[ranked[0]] >= SURE:
            return Decision({ranked[0]: 1.0}, "sure", found)
        if fits and found[ranked[0]] + found[ranked[1]] >= SURE:
            return self._pair(ranked[0], ranked[1], found)
        named = self._by_keywords(able, text)
        if named:
            return Decision({named: 1.0}, "keywords", found)
        return _first(able, found) if seen else Decision({}, "core", found)

    def probabilities(self, able: list[str], text: str) -> tuple[dict[str, float], bool]:
        """Of each tower that has a row, against the others; and whether the likeliest one's own texts score as this one
        does, so that it is the tower's at all."""
        rows, data = {name: self.rows[name] for name in able if name in self.rows}, encoded(text)
        if not rows or not data:
            return {}, False
        seen = features(data)
        scores = {name: row.score(seen) for name, row in rows.items()}
        best = min(scores, key=lambda name: (-scores[name], name))
        heat = sum(row.heat for row in rows.values()) / len(rows)
        weights = {name: math.exp((score - scores[best]) / heat) for name, score in scores.items()}
        total = sum(weights.values())
        fits = scores[best] >= rows[best].threshold(len(data)) and rows[best].knows(data)
        return {name: weight / total for name, weight in weights.items()}, fits

    def _pair(self, first: str, second: str, found: Mapping[str, float]) -> Decision:
        """Both, where they read the same words; else the likelier."""
        if any(self.specs[name].words or self.specs[name].perceives for name in (first, second)):
            return Decision({first: 1.0}, "likelier", found)
        share = round(found[first] / (found[first] + found[second]), 1)  # coarse, so that batches stay few
        return Decision({first: share, second: 1.0 - share}, "pair", found)

    def _by_keywords(self, able: list[str], text: str) -> str:
        held = set(words(text))
        hits = {name: len(held & set(self.rows[name].keywords)) for name in able if name in self.rows}
        best = max(sorted(hits), key=hits.__getitem__, default="")
        return best if best and hits[best] >= ENOUGH else ""


def _first(able: list[str], found: Mapping[str, float] | None = None) -> Decision:
    """The first by name of towers that nothing but their names tells apart: always the same one, and the rest named."""
    first, *others = sorted(able)
    return Decision({first: 1.0}, "modality", found, tuple(others))


def _takes(spec: TowerSpec, seen: list[str], fields: Mapping[str, Any]) -> bool:
    """Whether a tower can answer: it takes all that is seen or heard, and has all that it takes."""
    return all(name in spec.takes for name in seen) and all(name in fields for name in spec.takes)
