"""Exact match of generated answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_specs import NexusError, Sample, Tap

from .options import ExactMatchOptions
from .ratio import Ratio

_ARTICLES = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)
_MARKS = re.compile(r"[^\w\s.]|\.(?!\d)|_")


class ExactMatch(Ratio):
    """Kind "metric": whether the generated answer is the expected one, spaces aside; a row is [correct]."""

    taps: tuple[Tap, ...] = ()

    def __init__(self, **options: Any) -> None:
        self.options = ExactMatchOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer" of each sample; an empty row where nothing is expected."""
        pairs = zip(samples, outputs["answer"], strict=True)
        expected = [(self._expected(sample), self._plain(answer)) for sample, answer in pairs]
        return [() if right is None else (float(answer == right),) for right, answer in expected]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The commonest answer of training, given to every held-out question."""
        known = Counter(filter(None, map(self._expected, train)))
        expected = [answer for answer in map(self._expected, held_out) if answer is not None]
        if not expected:
            raise NexusError("exact_match has nothing to score: no held-out sample has an answer or a label.")
        commonest = min(known, key=lambda answer: (-known[answer], answer)) if known else None
        return expected.count(commonest) / len(expected) if commonest is not None else 0.0

    def _expected(self, sample: Sample) -> str | None:
        names = (self.options.field,) if self.options.field else ("answer", "label")
        found = next((sample.fields[name] for name in names if name in sample.fields), None)
        return None if found is None else self._plain(found)

    def _plain(self, answer: Any) -> str:
        text = " ".join(str(answer).split())
        if self.options.words:
            return bare(text if self.options.case else text.casefold())
        return text if self.options.case else text.casefold()


def bare(text: str) -> str:
    """An answer without punctuation and articles, as SQuAD's and VQA's own scripts compare them; numbers keep their
    point. One of which nothing would be left stays as it is.

    >>> bare("The Eiffel Tower."), bare("$1,250.5"), bare("U.S."), bare("A")
    ('Eiffel Tower', '1250.5', 'US', 'A')
    """
    kept = " ".join(_MARKS.sub("", text).split())
    return " ".join(_ARTICLES.sub(" ", kept).split()) or kept or text
