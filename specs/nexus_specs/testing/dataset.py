"""Checks of data set cards: rows that say what a data set is, whose it is, and how it is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..components import resolve
from .base import ComponentTests
from .values import is_json

NEEDED = ("name", "summary", "licence")
LONGEST = 120


def check_rows(rows: Any) -> None:
    """A list of mappings, which JSON keeps."""
    assert isinstance(rows, (list, tuple)), (
        f"The catalogue is a {type(rows).__name__}. Return a list: it is read more than once."
    )
    assert rows, "The catalogue is empty. Return a card for each data set, or yield no component."
    for row in rows:
        assert isinstance(row, Mapping), f"A card is a {type(row).__name__}. Return mappings, as in {{'name': …}}."
        assert is_json(dict(row)), f"The card {row!r} holds what JSON does not keep. Use str, int, float, bool, list."


def check_cards(rows: Sequence[Mapping[str, Any]]) -> None:
    """Name, summary and licence, in words."""
    for row in rows:
        missing = [name for name in NEEDED if not (isinstance(row.get(name), str) and row[name].strip())]
        assert not missing, (
            f"The card '{row.get('name', '?')}' has no {', '.join(missing)}. Every card says what it is, in a "
            f"sentence, and under which licence it may be used."
        )
        assert "\n" not in row["summary"] and len(row["summary"]) <= LONGEST, (
            f"The summary of '{row['name']}' is too long. Use one line of at most {LONGEST} characters."
        )
        tags = row.get("tags", [])
        assert isinstance(tags, (list, tuple)) and all(isinstance(tag, str) for tag in tags), (
            f"The tags of '{row['name']}' are {tags!r}. Give a list of words: `--datasets TAG` chooses by them."
        )


def check_names(rows: Sequence[Mapping[str, Any]]) -> None:
    """No name twice."""
    twice = [name for name, count in Counter(row["name"] for row in rows).items() if count > 1]
    assert not twice, f"Two cards are named '{twice[0]}'. Rename one: `--datasets` chooses by name." if twice else ""


class DatasetTests(ComponentTests):
    """A catalogue of data sets."""

    kind = "dataset"

    def component(self) -> Any:
        """The rows."""
        return resolve(self.descriptor().target)()

    def test_rows_are_plain(self) -> None:
        check_rows(self.component())

    def test_cards_are_complete(self) -> None:
        check_rows(self.component())
        check_cards(self.component())

    def test_names_are_unique(self) -> None:
        check_names(self.component())
