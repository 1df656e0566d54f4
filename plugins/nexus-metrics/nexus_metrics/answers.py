"""Exact match of generated answers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_specs import NexusError, Sample, Tap

from .options import ExactMatchOptions
from .ratio import Ratio
from .references import expected, final

_ARTICLES = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)
_POINT = re.compile(r"\.(?!\d)")


class ExactMatch(Ratio):
    """Kind "metric": whether the generated answer is the expected one, spaces aside; a row is [correct]."""

    taps: tuple[Tap, ...] = ()

    def __init__(self, **options: Any) -> None:
        self.options = ExactMatchOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer" of each sample; an empty row where nothing is expected."""
        pairs = zip(samples, outputs["answer"], strict=True)
        judged = [(self._expected(sample), self._plain(final(str(answer)))) for sample, answer in pairs]
        return [(float(answer in right),) if right else () for right, answer in judged]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The commonest answer of training, given to every held-out question."""
        known = Counter(right for sample in train for right in set(self._expected(sample)))
        asked = [right for right in map(self._expected, held_out) if right]
        if not asked:
            raise NexusError("exact_match has nothing to score: no held-out sample has an answer or a label.")
        commonest = min(known, key=lambda answer: (-known[answer], answer)) if known else None
        return sum(commonest in right for right in asked) / len(asked) if commonest is not None else 0.0

    def _expected(self, sample: Sample) -> tuple[str, ...]:
        """Every answer that is right, a list in SQuAD, TriviaQA, Natural Questions; () for none."""
        found = expected(sample, self.options.field, "answer", "label")
        if isinstance(found, Mapping):                      # SQuAD: {text: [...], answer_start: [...]}
            found = found.get("text", found.get("value"))
        several = found if isinstance(found, (list, tuple)) else [] if found is None else [found]
        return tuple(map(self._plain, several))

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
    kept = " ".join("".join(letter for letter in _POINT.sub("", text) if letter == "." or not _mark(letter)).split())
    return " ".join(_ARTICLES.sub(" ", kept).split()) or kept or text


def _mark(letter: str) -> bool:
    """Whether it is punctuation or a sign. Vowel signs of Indic scripts are none, though no \\w matches them."""
    return unicodedata.category(letter)[0] in "PS"
