"""`table.json` of artefacts, printed: with rich on a terminal, as plain text elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..store import read_json
from ..words import visible

TABLE = "table.json"
_WIDE = 200
"""Characters of a line where there is no terminal that limits it."""
_GAP, _SHORT, _MANY = 3, 28, 40
"""Characters between columns; of a cell that is never folded; rows of a table that is never printed in parts."""


def table_of(folder: Path) -> Mapping[str, Any] | None:
    """The table of an artefact, or None where it has none that can be read."""
    found = read_json(folder / TABLE)
    return found if isinstance(found, dict) and isinstance(found.get("columns"), list) else None


class _Visible(Console):
    """Of texts it shows what they hold, and does nothing that they ask of a terminal."""

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich does."""
        super().print(*(visible(each) if isinstance(each, str) else each for each in objects), **how)

    def on_broken_pipe(self) -> None:
        """Whoever read has gone: told to the command line, which knows how to end (rich would end it here)."""
        raise


def console(*, stderr: bool = False) -> Console:
    """A console that writes no escape bytes off a terminal, whatever FORCE_COLOR says."""
    found = _Visible(stderr=stderr, highlight=False)
    if found.file.isatty():
        return found
    return _Visible(stderr=stderr, highlight=False, force_terminal=False, no_color=True, width=_WIDE)


def print_table(table: Mapping[str, Any], out: Console) -> None:
    """Prints a table with its title and notes. One that is too wide for the terminal is printed in parts that each
    begin with its first column: figures that are cut in two cannot be read."""
    if table.get("title"):
        out.print(escape(str(table["title"])), style="bold")
    columns = columns_of(table["columns"], table.get("rows", []))
    for number, part in enumerate(_parts(columns, out.width)):
        if number:
            out.print()
        print_rows(drawn(part, out.width), out)
    for note in table.get("notes", []):
        out.print(escape(str(note)))


@dataclass(frozen=True)
class Column:
    """One column as it is printed."""

    head: str
    cells: tuple[str, ...]
    right: bool

    @property
    def widest(self) -> int:
        """Characters that it takes in full."""
        return max(map(len, (self.head, *self.cells)))

    @property
    def least(self) -> int:
        """Characters below which a figure or a word would be cut; a sentence may be folded, an endless word as well."""
        needed = [len(each) if len(each) <= _SHORT else _word(each) for each in self.cells]
        return min(max(_word(self.head), *needed, 1), _SHORT)


def _word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def columns_of(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Column]:
    """The columns of a table of rows, with every value as it is printed."""
    found = []
    for index, head in enumerate(heads):
        values = [row[index] for row in rows]
        right = all(isinstance(each, (int, float)) or each is None for each in values)
        found.append(Column(cell(str(head)), tuple(map(cell, values)), right))
    return found


def _parts(columns: list[Column], width: int) -> list[list[Column]]:
    """Columns side by side as far as they fit without a figure being cut; all of them at once where many rows would
    have to be read twice."""
    if not columns or len(columns[0].cells) > _MANY:
        return [columns]
    parts: list[list[Column]] = [[]]
    for column in columns:
        if len(parts[-1]) > 1 and needed((*parts[-1], column), [each.least for each in (*parts[-1], column)]) > width:
            parts.append([columns[0]])
        parts[-1].append(column)
    return parts


def needed(columns: Sequence[Column], widths: Sequence[int]) -> int:
    """Characters of a line that columns of these widths take."""
    return sum(widths) + _GAP * (len(columns) - 1)


def drawn(columns: Sequence[Column], width: int, least: Sequence[int] = ()) -> Table:
    """A table whose longest sentences are folded until it fits; `least` characters are left of each column."""
    widths = [each.widest for each in columns]
    least = least or [each.least for each in columns]
    while needed(columns, widths) > width:
        spare = max(range(len(widths)), key=lambda index: (widths[index] > least[index], widths[index]))
        if widths[spare] <= 1:
            break
        widths[spare] -= 1
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column, room in zip(columns, widths, strict=True):
        shown.add_column(escape(column.head), justify="right" if column.right else "left", overflow="fold", width=room)
    for row in zip(*(column.cells for column in columns), strict=True):
        shown.add_row(*map(escape, row))
    return shown


def print_rows(table: Table, out: Console) -> None:
    """Prints a table; off a terminal without the spaces that fill its last column."""
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip(), file=out.file)


def cell(value: Any) -> str:
    """A value of a table in a few characters.

    >>> cell(0.98765), cell(None), cell(True), cell(1234567)
    ('0.988', '-', 'yes', '1,234,567')
    """
    if value is None or value != value:  # NaN
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    return visible(" ".join(str(value).split("\n")))
