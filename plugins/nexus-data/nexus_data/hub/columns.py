"""Columns of a hub's data set to the fields of a sample: by name, by a template that joins several, or as they stand
here ("=512": so many tokens may every answer have)."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from string import Formatter, ascii_uppercase
from typing import Any

from nexus_specs import NexusError

from ..rows import FIELDS

SAME = "="
"""What a value begins with that is no column's."""


class Columns:
    """`columns` as the registry writes them: {field: column}, {field: "{column} and {other[key]}"}, or, for what is the
    same in every row, {field: "=value"}."""

    def __init__(self, columns: Mapping[str, str], where: str) -> None:
        self.columns, self.where = dict(columns), where
        self.formatter = _Template()
        for column in self.columns.values():
            self._parsed(column)

    def fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a row; without `columns` those whose names are fields. NexusError for a column that is not
        there."""
        if not self.columns:
            return {name: row[name] for name in FIELDS if row.get(name) is not None}
        found = {field: self._value(row, column) for field, column in self.columns.items()}
        return {field: value for field, value in found.items() if value is not None}

    def _value(self, row: Mapping[str, Any], column: str) -> Any:
        if column.startswith(SAME):
            return column.removeprefix(SAME)
        try:
            return self.formatter.vformat(column, (), row).strip() if "{" in column else row[column]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise NexusError(
                f"{self.where} has no column {error} (in `columns`: {column}). Its columns: {', '.join(map(str, row))}."
            ) from error

    def _parsed(self, column: str) -> list[str | None]:
        """What stands in the braces of a template. NexusError for one that is none."""
        if column.startswith(SAME) or "{" not in column:
            return []
        try:
            return [name for _, name, _, _ in self.formatter.parse(column)]
        except ValueError as error:
            raise NexusError(
                f"{self.where}: '{column}' (in `columns`) is no template: {error}. Write {{NAME}} for a column, and "
                "{{ for a brace."
            ) from error

    def check(self, known: Sequence[str]) -> None:
        """NexusError for a column that a card does not have among its own; `known` is empty where it says none."""
        if known and (lacking := [name for name in self.read() if name not in known]):
            raise NexusError(
                f"{self.where} has no column '{lacking[0]}' (in `columns`). Its columns: {', '.join(known)}."
            )

    def read(self) -> tuple[str, ...]:
        """Names of the columns that are read; () for all."""
        names: dict[str, None] = {}
        for column in self.columns.values():
            if column.startswith(SAME):
                continue
            if "{" not in column:
                names[column] = None
            for name in self._parsed(column):
                if name:
                    names[name.partition("[")[0]] = None
        return tuple(names)


class _Template(Formatter):
    """Templates that look into values and no further: "{column}" and "{column[key]}", never attributes."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        """The value of a column, or what it holds under a key."""
        if "." in field_name or "__" in field_name:
            raise ValueError(f"'{field_name}'")
        found: tuple[Any, str] = super().get_field(field_name, args, kwargs)
        return found

    def format_field(self, value: Any, format_spec: str) -> str:
        """Lists (choices of a question) a line each, behind their letters where those stand beside them (ARC), or are
        asked for: "{options:letters}", also of a list that is written out in a text (MMMU)."""
        if format_spec == "letters":
            value = _written(value)
            return "\n".join(f"{letter}. {text}" for letter, text in zip(ascii_uppercase, value, strict=False))
        if isinstance(value, Mapping):
            letters, texts = value.get("label"), value.get("text")
            if isinstance(letters, list) and isinstance(texts, list) and len(letters) == len(texts):
                return "\n".join(f"{letter}. {text}" for letter, text in zip(letters, texts, strict=True))
            value = value.get("text", list(value.values()))
        if isinstance(value, (list, tuple)):
            return "\n".join(map(str, value))
        return "" if value is None else str(value)


def _written(value: Any) -> Sequence[Any]:
    """A list, or what a text says of one; () for anything else."""
    if isinstance(value, str) and len(value) < 1 << 16:
        try:
            value = ast.literal_eval(value)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return ()
    return value if isinstance(value, (list, tuple)) else ()
