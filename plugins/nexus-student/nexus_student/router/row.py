"""A gate row: how much likelier each counter is under one tower's data than under the fixed background; and, so that
what fits no tower is refused, which grams are common in that tower's data.

Learned from that tower's data and nothing else, so that adding or removing towers leaves it identical to the bit. Its
temperature and thresholds come from sources that it was not learned from.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nexus_specs import NexusError
from safetensors.numpy import load, save

from .background import background
from .features import Vector, encoded, features, windows
from .kinds import lines
from .known import Packed, common, share

ROW, FACTS = "row.safetensors", "row.json"
SCHEMA = "nexus.row/1"
HELD_BACK = 5
"""One source of so many is kept for calibration."""
REJECTED = 0.005
"""Share of its own windows that a threshold may refuse."""
LENGTHS = (64, 512)
"""Bytes of the windows that thresholds are found for; between them they lie on a line over the logarithm."""
SHARPNESS = 4.0
"""Temperature of a decision, as a share of the score's deviation: one deviation apart is 98 % sure."""
KEYWORDS, RARE = 24, 50
"""Words of a row at most; a word that fewer than one text in so many holds is none of them."""


@dataclass(frozen=True)
class Row:
    """One tower's row."""

    theta: Vector
    """float32 [kinds, 4096]: a line of log ratios for each kind of writing in the tower's data"""
    heat: float
    """The temperature of decisions, in nats a gram."""
    thresholds: tuple[float, float]
    """The scores below which a text of 64, and of 512 bytes or more, is not the tower's."""
    keywords: tuple[str, ...] = ()
    known: Packed | None = None
    """Which 5-byte grams are common in the tower's data; None in a row of an earlier version."""
    shares: tuple[float, float] = (0.0, 0.0)
    """The shares of such grams below which a text of 64, and of 512 bytes or more, is not the tower's."""

    def threshold(self, length: int) -> float:
        """For a text of so many bytes."""
        return _between(self.thresholds, length)

    def knows(self, data: bytes) -> bool:
        """Whether enough of a text's grams are common in the tower's data."""
        return self.known is None or share(self.known, data) >= _between(self.shares, len(data))

    def score(self, found: Vector) -> float:
        """Mean log-likelihood ratio of the text's grams, the tower's likeliest kind against background, in nats."""
        return float((self.theta @ found).max())


def learned(texts: Iterable[tuple[str, str]]) -> Row:
    """A row from (source, text) pairs; every fifth source (every fifth text, where there are few) calibrates it."""
    pairs = list(texts)
    by_source = len({source for source, _ in pairs}) >= 2 * HELD_BACK
    kept = [_is_kept(source if by_source else text) for source, text in pairs]
    fitting = [text for (_, text), back in zip(pairs, kept, strict=True) if not back] or [text for _, text in pairs]
    calibrating = [text for (_, text), back in zip(pairs, kept, strict=True) if back]
    if not fitting:
        raise NexusError("The router has no text to learn from: the tower's train part is empty or without texts.")
    theta, known = lines(fitting), common(fitting)
    short, long = (cut(calibrating or fitting, length) for length in LENGTHS)
    scores = [[float((theta @ features(piece)).max()) for piece in pieces] for pieces in (short, long)]
    shares = [[share(known, piece) for piece in pieces] for pieces in (short, long)]
    return Row(
        theta,
        heat=max(float(np.std(scores[-1])), 1e-2) / SHARPNESS,
        thresholds=(_low(scores[0]), _low(scores[1])),
        keywords=keywords(fitting),
        known=known,
        shares=(_low(shares[0]), _low(shares[1])),
    )


def cut(texts: Sequence[str], length: int) -> list[bytes]:
    """All windows of so many bytes; whole texts where all are shorter."""
    pieces = [piece for text in texts for piece in windows(encoded(text), length)]
    return [piece for piece in pieces if len(piece) == length] or pieces


def _low(found: Sequence[float]) -> float:
    """What all but a few of the tower's own windows reach."""
    return float(np.quantile(found, REJECTED))


def _between(ends: tuple[float, float], length: int) -> float:
    """A threshold for a text of so many bytes, from those of 64 and of 512."""
    short, long = (math.log(each) for each in LENGTHS)
    part = min(1.0, max(0.0, (math.log(max(1, length)) - short) / (long - short)))
    return ends[0] + part * (ends[1] - ends[0])


def keywords(texts: Sequence[str]) -> tuple[str, ...]:
    """The words of at least four letters that the most texts hold, one in `RARE` or more of them, commonest first;
    common English words left out."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(words(text)) - COMMON)
    most = [word for word, count in counts.items() if RARE * count >= len(texts)]
    return tuple(sorted(most, key=lambda word: (-counts[word], word))[:KEYWORDS])


def words(text: str) -> list[str]:
    """Words of four letters and more, lower case."""
    return re.findall(r"[a-z_]{4,}", text.lower())


def write_row(row: Row, folder: Path) -> None:
    """Writes row.safetensors and row.json."""
    folder.mkdir(parents=True, exist_ok=True)
    data = save({"theta": row.theta} | ({} if row.known is None else {"known": row.known.view(np.int32)}))
    (folder / ROW).write_bytes(data)
    facts = {"schema": SCHEMA, "heat": row.heat, "thresholds": list(row.thresholds), "keywords": list(row.keywords),
             "shares": list(row.shares), "background": _background()}  # fmt: skip
    (folder / FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_row(folder: Path) -> Row | None:
    """The row of a tower's folder; None where it has none, since nothing about it is learned."""
    if not (folder / FACTS).is_file():
        return None
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        tensors = load((folder / ROW).read_bytes())
        _check(facts, folder)
        return Row(
            tensors["theta"],
            float(facts["heat"]),
            _ends(facts["thresholds"]),
            tuple(facts["keywords"]),
            tensors["known"].view(np.uint8) if "known" in tensors else None,
            _ends(facts.get("shares", (0.0, 0.0))),
        )
    except NexusError:
        raise
    except Exception as error:
        raise NexusError(
            f"The router's row in '{folder}' is damaged ({error}). Take the tower from its release again."
        ) from error


def _check(facts: Mapping[str, Any], folder: Path) -> None:
    """A row against another background gives numbers that mean nothing, and nothing shows it."""
    if facts["schema"] != SCHEMA:
        raise NexusError(f"'{folder / FACTS}' has the schema {facts['schema']!r}; this version reads '{SCHEMA}'.")
    if facts.get("background", _background()) != _background():
        raise NexusError(
            f"The router's row in '{folder}' was learned against another background than this version of nexus-student "
            "has. Install the version that the release names in its manifest (plugins), or run `nexus run` again."
        )


def _background() -> str:
    return hashlib.sha256(background().tobytes()).hexdigest()


def _ends(values: Sequence[float]) -> tuple[float, float]:
    short, long = values
    return float(short), float(long)


def _is_kept(name: str) -> bool:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:4]) % HELD_BACK == 0


COMMON = frozenset(
    {
        "about", "after", "also", "been", "before", "being", "between", "both", "could", "does", "each",
        "from", "have", "here", "into", "just", "like", "made", "make", "more", "most", "must", "only",
        "other", "over", "same", "should", "some", "such", "than", "that", "their", "them", "then", "there",
        "these", "they", "this", "those", "through", "time", "under", "used", "uses", "using", "very", "want",
        "well", "were", "what", "when", "where", "which", "while", "will", "with", "would", "your",
    }
)  # fmt: skip
