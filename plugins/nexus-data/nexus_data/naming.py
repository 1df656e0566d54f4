"""Media that tables name by a path: where they lie, and which of them count for a fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from .files import is_file, version
from .rows import MEDIA, Malformed, Row, Unreported


class Table(Protocol):
    """What a kind of table can do, whatever its options."""

    def has(self, file: Path, columns: Collection[str]) -> bool:
        """Whether a file may hold any of these columns."""
        ...

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """The rows of one file."""
        ...


def behind(
    kind: Callable[[], Table], columns: Mapping[str, str], files: Iterable[tuple[Path, str]]
) -> Iterator[tuple[Path, str]]:
    """(file, the path that stands in the table) of all media that tables name; `columns` as in their options."""
    wanted = tuple(columns.get(field, field) for field in MEDIA)
    for table, _ in files:
        for name in _named(kind, wanted, version(table)):
            yield table.parent / name, name


@lru_cache(maxsize=32)
def _named(kind: Callable[[], Table], columns: tuple[str, ...], state: tuple[Path, int, int]) -> tuple[str, ...]:
    """The paths in one file at one size and time of change, each once."""
    table, file = kind(), state[0]
    if not table.has(file, columns):
        return ()
    rows = table.rows(file, file.name, Unreported())
    cells = (row.values.get(column) for row in rows for column in columns)
    found = (path_in(each) for cell in cells for each in (cell if isinstance(cell, list) else [cell]))
    return tuple(dict.fromkeys(name for name in found if name))


def path_in(value: Any) -> str:
    """The path that stands in a cell; "" where the medium itself does, or nothing of either.

    >>> path_in("a.png"), path_in({"bytes": None, "path": "a.png"}), path_in({"bytes": b"...", "path": "a.png"})
    ('a.png', 'a.png', '')
    """
    if isinstance(value, Mapping):
        value = None if value.get("bytes") is not None else value.get("path")
    return value if isinstance(value, str) else ""


def stored(value: Any, folder: Path | None) -> bytes | Path:
    """A medium as a table has it: its bytes, or the file that it names, looked for from the table's folder. ValueError
    for a file that is not there, and for a path in a table that is not this machine's."""
    if name := path_in(value):
        if folder is None:
            raise ValueError(f"names the file '{name}' and does not hold it")
        if not is_file(folder / name):
            raise ValueError(f"names the file '{name}', which is not there (a path begins in the table's folder)")
        return folder / name
    found = value.get("bytes") if isinstance(value, Mapping) else value
    if not isinstance(found, bytes):
        raise ValueError(f"holds {type(found).__name__} where bytes or a path are expected")
    return found
