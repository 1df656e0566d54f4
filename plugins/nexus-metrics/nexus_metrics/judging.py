"""Metrics of generated answers that are right or wrong: numbers and choices."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from nexus_specs import Sample, Tap

from .options import AnswerOptions, ChoiceOptions
from .ratio import Ratio
from .references import expected, plain_words, references

_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*)?\.?\d+(?:[eE][-+]?\d+)?")
LETTERS = "ABCDEFGHIJ"
LONGEST = 40
"""Digits of a number that is compared as one."""


class NumberMatch(Ratio):
    """Kind "metric": whether the last number of the answer is the expected one (GSM8K: what follows "####" in the
    reference); a row is [correct]."""

    taps: tuple[Tap, ...] = ()

    def __init__(self, **options: Any) -> None:
        self.options = AnswerOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer"; an empty row where no number is expected."""
        pairs = zip(map(self._right, samples), outputs["answer"], strict=True)
        return [() if right is None else (float(last_number(str(answer)) == right),) for right, answer in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The commonest number of training, given to every held-out question."""
        references(held_out, "number_match", self.options.field, "answer", "label")
        known = Counter(each for each in map(self._right, train) if each is not None)
        right = [each for each in map(self._right, held_out) if each is not None]
        commonest = min(known, key=lambda each: (-known[each], each)) if known else None
        return right.count(commonest) / len(right) if right and commonest is not None else 0.0

    def _right(self, sample: Sample) -> Decimal | None:
        said = expected(sample, self.options.field, "answer", "label")
        return None if said is None else last_number(str(said).rpartition("####")[2])


class ChoiceAccuracy(Ratio):
    """Kind "metric": whether the answer names the right one of the sample's choices, by its letter or its words; a row
    is [correct]."""

    taps: tuple[Tap, ...] = ()

    def __init__(self, **options: Any) -> None:
        self.options = ChoiceOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer"; an empty row where the right choice is not known."""
        return [self._row(sample, str(answer)) for sample, answer in zip(samples, outputs["answer"], strict=True)]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """Chance: the mean of one over the number of choices."""
        references(held_out, "choice_accuracy", self.options.field, "answer", "label")
        judged = [sample for sample in held_out if self._right(sample) is not None]
        counts = [len(self._choices(sample)) or self.options.count for sample in judged]
        return sum(1 / count for count in counts) / len(counts) if counts else 0.0

    def _row(self, sample: Sample, answer: str) -> tuple[float, ...]:
        right = self._right(sample)
        return () if right is None else (float(chosen(answer, self._choices(sample), self.options.count) == right),)

    def _choices(self, sample: Sample) -> list[str]:
        said = sample.fields.get(self.options.choices, ())
        return [str(each) for each in said] if isinstance(said, (list, tuple)) else []

    def _right(self, sample: Sample) -> int | None:
        """The place of the right choice, which a reference names by number, letter or words."""
        said = expected(sample, self.options.field, "answer", "label")
        if said is None:
            return None
        if isinstance(said, int) or hasattr(said, "__index__"):
            return int(said)
        return chosen(str(said), self._choices(sample), self.options.count)


def last_number(text: str) -> Decimal | None:
    """The last number in a text, whatever its spelling; None for none.

    >>> last_number("It costs $1,250.50 in all."), last_number("none")
    (Decimal('1250.5'), None)
    """
    found = _NUMBER.findall(text)
    if not found or len(found[-1]) > LONGEST:
        return None
    try:
        return Decimal(found[-1].replace(",", "")).normalize()
    except InvalidOperation:
        return None


def chosen(answer: str, choices: Sequence[str], count: int) -> int | None:
    """The place of the choice that an answer names: "(B)", "B. …", "answer: B" or the choice's own words.

    >>> chosen("The answer is (C).", [], 4), chosen("b", [], 4), chosen("Paris", ["Rome", "Paris"], 4)
    (2, 1, 1)
    """
    words = plain_words(answer)
    for place, choice in enumerate(choices):
        if plain_words(choice) == words:
            return place
    letters = LETTERS[: len(choices) or count]
    said = re.fullmatch(rf"\s*\(?([{letters}])\)?[.:]?\s*", answer, re.IGNORECASE)
    said = said or re.search(rf"(?:answer|choice|option)\W+(?:is\W+)?\(?([{letters}])\b", answer, re.IGNORECASE)
    said = said or re.search(rf"(?:^|\s)\(?([{letters}])[).:](?:\s|$)", answer)
    if said:
        return letters.index(said[1].upper())
    named = [place for place, choice in enumerate(choices) if " ".join(plain_words(choice)) in " ".join(words)]
    return named[0] if len(named) == 1 else None
