"""What an answer is compared with, and how words are made alike before they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from nexus_specs import NexusError, Sample


def expected(sample: Sample, field: str, *others: str) -> Any:
    """The reference of a sample: its field, else the first of the others that it has; None where it has none."""
    names = (field,) if field else others
    return next((sample.fields[name] for name in names if sample.fields.get(name) is not None), None)


def references(samples: Sequence[Sample], metric: str, field: str, *others: str) -> list[Any]:
    """The references of held-out samples. NexusError where there is none."""
    found = [each for sample in samples if (each := expected(sample, field, *others)) is not None]
    if not found:
        wanted = field or " or ".join(others)
        raise NexusError(f"{metric} has nothing to score: no held-out sample has {wanted}. Map it: columns: {{...}}.")
    return found


def plain_words(text: str) -> list[str]:
    """Words in small letters without punctuation; marks that belong to letters stay.

    >>> plain_words("It's 5 o'clock — naïve!")
    ["it's", '5', "o'clock", 'naïve']
    """
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return [word for each in re.findall(r"[\w']+", text) if (word := each.strip("'_"))]


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
