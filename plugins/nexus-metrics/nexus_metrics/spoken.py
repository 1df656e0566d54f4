"""Error rates of transcripts. Rows are [errors, words], so that long samples count for more, as is usual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_specs import Sample, Tap

from .options import TranscriptOptions
from .ratio import Ratio
from .references import edits, expected, plain_words, references
from .whisper import normaliser

FIELDS = ("text", "answer", "label")
"""Where a sample may carry the words that were spoken."""


class WordErrorRate(Ratio):
    """Kind "metric": insertions, deletions and replacements of words over the words of the reference."""

    taps: tuple[Tap, ...] = ()
    name = "word_error_rate"

    def __init__(self, **options: Any) -> None:
        self.options = TranscriptOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "answer"; an empty row where there is no reference."""
        pairs = zip(samples, outputs["answer"], strict=True)
        return [self._row(expected(sample, self.options.field, *FIELDS), answer) for sample, answer in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """1: who writes nothing down leaves out every word."""
        references(held_out, self.name, self.options.field, *FIELDS)
        return 1.0

    def units(self, text: str) -> Sequence[str]:
        """What is counted."""
        if self.options.normalise and self.options.normaliser != "words":
            return normaliser(self.options.normaliser, self.options.spellings)(text).split()
        return plain_words(text) if self.options.normalise else text.split()

    def _row(self, reference: Any, answer: Any) -> tuple[float, ...]:
        units = () if reference is None else self.units(str(reference))
        return (float(edits(units, self.units(str(answer)))), float(len(units))) if units else ()


class CharacterErrorRate(WordErrorRate):
    """Kind "metric": the same for characters, spaces between words included: for languages that write none."""

    name = "character_error_rate"

    def units(self, text: str) -> Sequence[str]:
        """Characters."""
        return " ".join(super().units(text))
