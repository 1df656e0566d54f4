"""A listing: every column of every row off a terminal; on one, rows whose names can be read, whatever its width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from ..words import listed
from .tables import Column, columns_of, drawn, needed, print_rows

Columns = Sequence[Column]
_WHOLE = 100_000
"""Characters of a line off a terminal, where nothing is folded: of each row there is one line."""
_FEW = 3
"""Rows that are printed one below the other where their columns do not fit side by side."""
_SENTENCE, _NAME = 24, 40
"""Characters into which a sentence may be folded; of a name, which is not folded."""


def print_listing(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], out: Console, *, title: str, notes: Sequence[str] = ()
) -> None:
    """Prints a listing. Columns stand in the order of their weight: where a terminal has no room for all of them, the
    last ones are left out and named, and of a few rows each is printed as a card."""
    found: Columns = columns_of(columns, rows)
    left: Columns = ()
    out.print(escape(title), style="bold")
    if not out.is_terminal:
        out.width = _WHOLE
    if not rows:
        pass
    elif _fits(found, out.width):
        print_rows(drawn(found, out.width, _least(found)), out)
    elif len(rows) <= _FEW:
        _print_cards(found, len(rows), out)
    else:
        shown, left = _side_by_side(found, out.width)
        print_rows(drawn(shown, out.width, _least(shown)), out)
    for note in notes:
        out.print(escape(note))
    if left:
        out.print(f"Not shown here: {listed(each.head for each in left)}. A WORD (part of a name) shows few rows in "
                  "full; --json has them all.")  # fmt: skip


def _least(columns: Columns) -> list[int]:
    """Characters to which each column may be folded: not a name, not a figure, and a sentence not to a ribbon."""
    first, *others = columns
    return [min(first.widest, _NAME), *map(_foldable, others)]


def _foldable(column: Column) -> int:
    """Characters into which a column may be folded; lists go between any two of their entries."""
    if any(", " in each for each in column.cells):
        return max(len(word) for each in (column.head, *column.cells) for word in each.split())
    return max(column.least, min(column.widest, _SENTENCE))


def _fits(columns: Columns, width: int) -> bool:
    return needed(columns, _least(columns)) <= width


def _side_by_side(columns: Columns, width: int) -> tuple[Columns, Columns]:
    """The first columns, as many as fit but two at least; and the others."""
    end = next((end for end in range(len(columns), 2, -1) if _fits(columns[:end], width)), 2)
    return columns[:end], columns[end:]


def _print_cards(columns: Columns, rows: int, out: Console) -> None:
    """Each row as a table of its own: what it is called by, and what it says."""
    for row in range(rows):
        given = [(each.head, each.cells[row]) for each in columns if each.cells[row] not in ("", "-")]
        (head, name), *more = given
        if row:
            out.print()
        print_rows(drawn(columns_of((head, name), more), out.width), out)
