"""What an answer is compared with, and how words are made alike before they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from nexus_specs import NexusError, Sample

_NEXT = re.compile(r"\n\s*(?:Question|Problem|Q)\s*\d*\s*:")


def expected(sample: Sample, field: str, *others: str) -> Any:
    """The reference of a sample: its field, else the first of the others that it has; None where it has none, or NaN,
    as pandas writes that, or a label of -1."""
    names = (field,) if field else others
    found = (known(sample) if name == "label" else sample.fields.get(name) for name in names)
    return next((each for each in found if each is not None and not (isinstance(each, float) and each != each)), None)


def known(sample: Sample, field: str = "label") -> Any:
    """The label of a sample; None where it has none, or NaN, as pandas writes that, or -1: so the hub's tests whose
    labels are kept secret have it."""
    label = sample.fields.get(field)
    return None if (isinstance(label, int) and label < 0) or (isinstance(label, float) and label != label) else label


def references(samples: Sequence[Sample], metric: str, field: str, *others: str) -> list[Any]:
    """The references of held-out samples. NexusError where there is none."""
    found = [each for sample in samples if (each := expected(sample, field, *others)) is not None]
    if not found:
        wanted = field or " or ".join(others)
        none = " (-1 is none)" if "label" in (field, *others) else ""
        raise NexusError(
            f"{metric} has nothing to score: no held-out sample has {wanted}{none}. Map it: columns: {{...}}."
        )
    return found


def plain_words(text: str) -> list[str]:
    """Words in small letters without punctuation; marks that belong to letters stay.

    >>> plain_words("It's 5 o'clock — naïve!")
    ["it's", '5', "o'clock", 'naïve']
    >>> plain_words("हिन्दी में।")
    ['हिन्दी', 'में']
    """
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    kept = "".join(letter if _belongs(letter) else " " for letter in text if unicodedata.category(letter) != "Cf")
    return [word for each in kept.split() if (word := each.strip("'_"))]


def _belongs(letter: str) -> bool:
    """Whether a letter stands in words. Vowel signs of Indic scripts and Thai are marks, which no \\w matches."""
    return letter.isalnum() or letter in "'_" or unicodedata.category(letter).startswith("M")


def final(answer: str) -> str:
    """An answer without the thoughts before it (R1, Qwen3: what stands before "</think>") and without the next question
    that a model puts to itself which was never taught to stop (lm-evaluation-harness stops there).

    >>> final("<think>\\nQuestion: 2 + 2? 5? No.</think>4\\n\\nQuestion: 3 + 3?")
    '4'
    """
    return _NEXT.split(answer.rpartition("</think>")[2], maxsplit=1)[0]


def edits(expected: Sequence[Any], found: Sequence[Any]) -> int:
    """The least number of insertions, deletions and replacements between two sequences (Levenshtein 1966).

    >>> edits("kitten", "sitting")
    3
    """
    row = list(range(len(found) + 1))
    for at, wanted in enumerate(expected, 1):
        before, row[0] = row[0], at
        for place, each in enumerate(found, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (wanted != each))
    return row[-1]
