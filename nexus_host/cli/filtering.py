"""Which rows of a listing are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from nexus_specs import NexusError

from ..words import did_you_mean, listed

Row = dict[str, Any]
NAMED_BY = ("name", "id", "aliases", "tags", "heads", "gguf", "capability", "distribution")
"""Fields that a word is looked for in."""
MODALITIES = ("modalities", "modality", "takes")
EVERYTHING = "all"


class UnknownValueError(NexusError):
    """A filter that fits no row of any such listing."""

    exit_code = 2


def filtered(
    rows: Sequence[Row],
    words: Iterable[str] = (),
    *,
    modality: str | None = None,
    loader: str | None = None,
    tag: str | None = None,
) -> list[Row]:
    """Rows with any of the words in what they are named by (where none has, in whatever else they say, or as the
    initials of a name), of a modality, of a loader, with a tag. NexusError for a modality, loader or tag that no row
    has: an empty table would look like an answer. Words may be joined by commas, as for --models and --datasets.

    >>> filtered([{"name": "llama"}, {"name": "t5"}], ["LLA"])
    [{'name': 'llama'}]
    >>> filtered([{"name": "word_error_rate"}, {"name": "chrf"}], ["wer"])
    [{'name': 'word_error_rate'}]
    """
    found = _only(rows, "modality", modality, MODALITIES)
    found = _only(found, "loader", loader, ("loader",)) if found or not loader else found
    found = _only(found, "tag", tag, ("tags",)) if found or not tag else found
    wanted = [each for word in words for part in word.lower().split(",") if (each := part.strip())]
    if not wanted or EVERYTHING in wanted:
        return found
    kept = {place for word in wanted for place in _places(found, word)}
    return [row for place, row in enumerate(found) if place in kept]


def _only(rows: Sequence[Row], what: str, value: str | None, fields: Sequence[str]) -> list[Row]:
    if value is None:
        return list(rows)
    known = sorted({each for row in rows for each in _values(row, fields)})
    if not known:
        raise UnknownValueError(f"Rows of this list have no {what}: leave --{what} out.")
    if value not in known:
        hint = did_you_mean(value, known)
        raise UnknownValueError(f"No row has the {what} '{value}'.{hint} Known here: {listed(known)}.")
    return [row for row in rows if value in _values(row, fields)]


def _values(row: Row, fields: Sequence[str]) -> list[str]:
    found: list[str] = []
    for field in fields:
        value = row.get(field)
        found += [value] if isinstance(value, str) else [str(each) for each in value or ()]
    return [each for each in found if each]


def _places(rows: Sequence[Row], word: str) -> list[int]:
    """Where rows stand that a word names; where it names none, those that say it."""
    named = [place for place, row in enumerate(rows) if any(word in each.lower() for each in _values(row, NAMED_BY))]
    return named or [place for place, row in enumerate(rows) if _says(row, word)]


def _says(row: Row, word: str) -> bool:
    """Whether a row has a word anywhere, or in the initials of its name."""
    initials = "".join(part[:1] for part in re.split(r"\W|_", str(row.get("name", "")).lower()))
    texts = _values(row, [field for field, value in row.items() if isinstance(value, (str, list, tuple))])
    whole = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    return word == initials or any(whole.search(text.lower()) for text in texts)
