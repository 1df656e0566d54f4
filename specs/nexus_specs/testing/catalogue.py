"""Checks of a loader's rows of `nexus list architectures`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .values import is_json

LISTS = ("modalities", "heads")
STREAMS = ("verified", "untested")


def check_catalogue(rows: Any) -> None:
    """Each row says by what a user finds it."""
    for row in rows:
        assert isinstance(row, Mapping), f"A row is a {type(row).__name__}. Return mappings, as in {{'name': …}}."
        assert is_json(dict(row)), f"The row {row!r} holds what JSON does not keep. Use str, int, float, bool, list."
        name = row.get("name") or row.get("architecture")
        assert isinstance(name, str), f"The row {row!r} has no name. Give 'name': the model type, as people type it."
        for field in LISTS:
            value = row.get(field, [])
            assert isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value), (
                f"'{field}' of the row '{name}' is {value!r}. Give a list of words: `--modality` chooses by them."
            )
        assert row.get("modalities") or row.get("heads"), (
            f"The row '{name}' says neither which modalities it is of nor which class opens it. Give 'modalities', as "
            "in ['text'], and 'heads'."
        )
        assert row.get("streams", STREAMS[0]) in STREAMS, (
            f"'streams' of the row '{name}' is {row['streams']!r}. Say 'verified' where a result that the plugin ships "
            "says so, else 'untested'."
        )
