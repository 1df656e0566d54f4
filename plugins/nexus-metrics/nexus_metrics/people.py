"""Answers beside those of several people, as the benchmarks of visual questions score them (Antol et al. 2015, VQA)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_specs import NexusError, Sample, Tap

from .judging import items
from .options import QuestionOptions
from .ratio import Ratio
from .references import expected, final

ENOUGH = 3
"""So many people with the same answer make it wholly right."""
_MARKS = ";/[]\"{}()=+\\_-><@`,?!"
_THOUSANDS, _POINT = re.compile(r"\d,\d"), re.compile(r"\.(?!\d)")
_COUNTS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SAME = {"none": "0"} | {word: str(number) for number, word in enumerate(_COUNTS)}
_ARTICLES = frozenset({"a", "an", "the"})


class VqaAccuracy(Ratio):
    """Kind "metric": min(1, people with this answer / 3), the mean over the sets of all people but one, as VQA's own
    script has it (of ten people one is .3, two .6, three .9, four 1); a row is [share]."""

    taps: tuple[Tap, ...] = ()

    def __init__(self, **options: Any) -> None:
        self.options = QuestionOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer"; an empty row where nobody answered."""
        pairs = zip(map(self._people, samples), outputs["answer"], strict=True)
        return [(agreement(_first(answer), people),) if people else () for people, answer in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The commonest answer of training, given to every held-out question."""
        people = [each for each in map(self._people, held_out) if each]
        if not people:
            raise NexusError(
                "vqa_accuracy has nothing to score: no held-out sample has the answers of people. Map them: "
                "columns: {answer: NAME}."
            )
        known = Counter(simple(each) for sample in train for each in self._people(sample))
        commonest = min(known, key=lambda each: (-known[each], each)) if known else None
        return 0.0 if commonest is None else sum(agreement(commonest, each) for each in people) / len(people)

    def _people(self, sample: Sample) -> list[str]:
        """What each of them answered: a list of texts, or of {answer: ...} as VQAv2 has it; one alone is a list."""
        found = expected(sample, self.options.field, "answers", "answer", "label")
        if isinstance(found, Mapping):
            found = found.get("answer", found.get("text"))
        if found is None:
            return []
        several = found if isinstance(found, (list, tuple)) else items(found) or [found]
        return [str(each.get("answer", "") if isinstance(each, Mapping) else each) for each in several]


def agreement(answer: str, people: Sequence[str]) -> float:
    """The score of an answer beside those of people.

    >>> [round(agreement("2", ["two"] * count + ["three"] * (10 - count)), 2) for count in (0, 1, 2, 3, 4)]
    [0.0, 0.3, 0.6, 0.9, 1.0]
    """
    same = [simple(each) == simple(answer) for each in people]
    if len(people) == 1:
        return float(same[0])
    count = sum(same)
    return sum(min(1.0, (count - mine) / min(ENOUGH, len(people) - 1)) for mine in same) / len(people)


def simple(answer: str) -> str:
    """An answer in small letters without marks, articles and apostrophes; small numbers as digits.

    >>> simple("The Dog's, don't-know."), simple("none"), simple("1,250.5"), simple("Two dogs")
    ('dogs dont know', '0', '1250.5', '2 dogs')
    """
    text = " ".join(answer.split()).casefold().replace("’", "'").replace("'", "")
    said, counted = text, _THOUSANDS.search(text) is not None
    for mark in _MARKS:
        beside = f"{mark} " in said or f" {mark}" in said or counted
        text = text.replace(mark, "" if beside else " ")
    words = [_SAME.get(word, word) for word in _POINT.sub("", text).split()]
    return " ".join(word for word in words if word not in _ARTICLES)


def _first(answer: Any) -> str:
    """An answer without thoughts and without what goes on after its first line: people were asked for words."""
    return final(str(answer)).strip().partition("\n")[0]
