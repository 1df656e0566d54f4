"""Translations against a reference: BLEU and chrF++, over the counts of the whole corpus.

Rows are counts, so the score of a draw of the bootstrap is that of its own corpus. Shapes: n samples, draws.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from nexus_specs import Sample, Tap
from numpy.typing import NDArray

from .options import TranslationOptions
from .references import expected, references
from .tokens import international, trimmed

ORDER, CHARACTERS, WORDS, BETA = 4, 6, 2, 2.0
"""Longest n-gram of BLEU; of chrF++ in characters and in words; how much recall counts beside precision."""
SOURCES = ("original", "prompt", "text")
"""Where a sample may carry what is translated."""


class Counts:
    """Corpus scores: what `reduce` needs is the sum of the rows."""

    taps: tuple[Tap, ...] = ()
    name = ""
    width = 0

    def __init__(self, **options: Any) -> None:
        self.options = TranslationOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer"; an empty row where there is no reference."""
        pairs = zip(samples, outputs["answer"], strict=True)
        return [self._row(expected(sample, self.options.field, *self._others()), answer) for sample, answer in pairs]

    def reduce(self, rows: Any) -> float:
        """The score of these rows; empty ones are left out; nan for none."""
        return float(self.reduce_many(rows, np.arange(len(rows))[None])[0])

    def reduce_many(self, rows: Any, picks: NDArray[np.int64]) -> NDArray[np.float64]:
        """The score of every draw [draws, n] of rows. -> [draws]."""
        filled = [tuple(row) if len(row) else (0.0,) * self.width for row in rows]
        table = np.array(filled, np.float64).reshape(-1, self.width)
        return np.array([self.score(table[pick].sum(0)) if len(pick) else math.nan for pick in picks])

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The source itself, handed back untranslated; nothing, where the samples have no text."""
        references(held_out, self.name, self.options.field, *self._others())
        copies = [str(expected(sample, self.options.source, *SOURCES) or "") for sample in held_out]
        return self.reduce(self.measure(held_out, {"answer": copies}))

    def counts(self, reference: str, answer: str) -> tuple[float, ...]:
        """What one pair adds."""
        raise NotImplementedError

    def score(self, sums: NDArray[np.float64]) -> float:
        """The score of the summed counts, 0 to 100; nan where nothing was counted."""
        raise NotImplementedError

    def _others(self) -> tuple[str, ...]:
        return "translation", "answer", "label"

    def _row(self, reference: Any, answer: Any) -> tuple[float, ...]:
        return () if reference is None or not str(reference).strip() else self.counts(str(reference), str(answer))


class Bleu(Counts):
    """Kind "metric": BLEU (Papineni et al. 2002) of words and punctuation up to 4-grams, one reference, as sacrebleu
    has it (13a; "exp": orders without a match count half of one, then a quarter); a row is [matches x 4, n-grams x 4,
    lengths]."""

    name, width = "bleu", 2 * ORDER + 2

    def counts(self, reference: str, answer: str) -> tuple[float, ...]:
        """Clipped matches and n-grams of the answer by order, length of the answer, length of the reference."""
        wanted, found = international(reference), international(answer)
        pairs = [_overlap(_grams(wanted, order), _grams(found, order)) for order in range(1, ORDER + 1)]
        matches, totals = zip(*((both, total) for both, total, _ in pairs), strict=True)
        return (*map(float, matches), *map(float, totals), float(len(found)), float(len(wanted)))

    def score(self, sums: NDArray[np.float64]) -> float:
        """Geometric mean of the precisions times the penalty for what is too short."""
        matches, totals, (length, wanted) = sums[:ORDER], sums[ORDER : 2 * ORDER], sums[2 * ORDER :]
        if not wanted:
            return math.nan
        if not length or not matches[0]:
            return 0.0
        logs, halved = [], 1.0
        for both, total in zip(matches, totals, strict=True):
            if not total:
                break
            halved = halved if both else halved * 2
            logs.append(math.log(both / total if both else 1 / (halved * total)))
        return 100 * math.exp(min(0.0, 1 - wanted / length) + sum(logs) / ORDER) if len(logs) == ORDER else 0.0


class Chrf(Counts):
    """Kind "metric": chrF++ (Popović 2017): F2 of n-grams of 1 to 6 characters without spaces and 1 to 2 words, as
    sacrebleu has it; a row is [matches, n-grams of the answer, of the reference] by order."""

    name, width = "chrf", 3 * (CHARACTERS + WORDS)

    def counts(self, reference: str, answer: str) -> tuple[float, ...]:
        """Matches, n-grams of the answer, n-grams of the reference, order by order."""
        letters = ["".join(text.split()) for text in (reference, answer)]
        words = [trimmed(text) for text in (reference, answer)]
        sides = [(*letters, order) for order in range(1, CHARACTERS + 1)]
        sides += [(*words, order) for order in range(1, WORDS + 1)]
        pairs = [_overlap(_grams(wanted, order), _grams(found, order)) for wanted, found, order in sides]
        # Where a reference is too short to have any of an order, those of the answer are nothing wrong.
        return tuple(float(each) for both, found, wanted in pairs for each in (both, found if wanted else 0, wanted))

    def score(self, sums: NDArray[np.float64]) -> float:
        """F = (1 + b²) P R / (b² P + R) of the means of P and R over the orders that the texts have."""
        both, found, wanted = sums.reshape(-1, 3).T
        if not wanted.any():
            return math.nan
        used = (found > 0) & (wanted > 0)
        if not used.any():
            return 0.0
        precision, recall = float((both[used] / found[used]).mean()), float((both[used] / wanted[used]).mean())
        below = BETA**2 * precision + recall
        return 100 * (1 + BETA**2) * precision * recall / below if below else 0.0


def _grams(units: Sequence[str], order: int) -> Counter[Any]:
    return Counter(tuple(units[at : at + order]) for at in range(len(units) - order + 1))


def _overlap(wanted: Counter[Any], found: Counter[Any]) -> tuple[int, int, int]:
    return (wanted & found).total(), found.total(), wanted.total()
