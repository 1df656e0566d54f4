"""Answers that were found before, in the user's cache folder: what asking again would take seconds for."""

from __future__ import annotations

import json
from typing import Any

from nexus_specs.caching import cache_folder

from .atomic import read_json, write_json
from .hashes import text_hash

_MOST = 4000
"""Answers that are kept; the oldest make room."""


class Answers:
    """Answers by what they depend on. A question holds everything that the answer depends on, so none grows old."""

    def __init__(self, name: str) -> None:
        self.path = cache_folder() / f"{name}.json"
        self._known: dict[str, Any] = _pairs(read_json(self.path, []))
        self._new: dict[str, Any] = {}

    def get(self, question: Any) -> Any:
        """The answer; None where it was never found."""
        key = _key(question)
        return self._new.get(key, self._known.get(key))

    def put(self, question: Any, answer: Any) -> None:
        """Remembers an answer."""
        self._new[_key(question)] = answer

    def save(self) -> None:
        """Keeps what is new for the next process; a cache folder that cannot be written to is no error."""
        if not self._new:
            return
        older = [(key, value) for key, value in self._known.items() if key not in self._new]
        self._known = dict([*older, *self._new.items()][-_MOST:])
        self._new = {}
        try:
            write_json(self.path, list(self._known.items()), durable=False)
        except OSError:
            return


def _pairs(found: Any) -> dict[str, Any]:
    """What a file holds, in the order in which it was found; nothing where the file is not one of ours."""
    rows = found if isinstance(found, list) else []
    return {row[0]: row[1] for row in rows if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str)}


def _key(question: Any) -> str:
    return text_hash(json.dumps(question, sort_keys=True, default=str))[:24]
