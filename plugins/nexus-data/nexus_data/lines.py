"""Lines of tables: how they are cut, and what may stand in a header or an object."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from nexus_specs import NexusError

from .opening import opened


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. ValueError for one with a name that stands there twice: which of them was meant, nobody knows."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name '{next(name for name in names if names.count(name) > 1)}' stands there twice")
    return found


def lines_of(lines: BinaryIO, name: str, longest: int) -> Iterator[bytes]:
    """Line after line; NexusError for one that is so long that the file cannot be what it is taken for."""
    number = 0
    while line := lines.readline(longest):
        number += 1
        if len(line) == longest:
            raise NexusError(f"{name}:{number} is longer than {longest >> 20} MB: put one JSON object on each line.")
        yield line


@contextmanager
def letters(file: Path, name: str) -> Iterator[TextIO]:
    """Letters of a file, what is no UTF-8 as halves of characters."""
    with opened(file, name) as raw, TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="") as lines:
        yield lines


def header_of(reader: Any, name: str) -> list[str]:
    """The names of the columns, without spaces around them. NexusError for two of one name: one would be lost."""
    try:
        header = [each.strip() for each in next(reader, [])]
    except csv.Error as error:
        raise NexusError(f"{name}:1: {error}. Look for a quote that is not closed.") from error
    if twice := next((each for each in header if each and header.count(each) > 1), ""):
        raise NexusError(f"{name}:1 has two columns '{twice}'. Give one of them another name.")
    return header


def rows_of(reader: Any, name: str) -> Iterator[tuple[list[str], str]]:
    """Row after row: its cells, or what is wrong with its quotes. NexusError for a cell that never ends."""
    while True:
        try:
            found = next(reader, None), ""
        except csv.Error as error:
            if "larger" in str(error):
                raise NexusError(f"{name}:{reader.line_num}: {error}. Look for a quote that is not closed.") from error
            found = [], f'has its quotes wrong ({error}): inside a quoted cell write each one twice, ""'
        if found[0] is None:
            return
        yield found[0], found[1]


def lost(lines: int) -> str:
    """Where a quote may have swallowed lines."""
    return f" ({lines} lines: look for a quote that is not closed)" if lines > 1 else ""
