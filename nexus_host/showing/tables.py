"""`table.json` of artefacts, printed: with rich on a terminal, as plain text elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..store import read_json

TABLE = "table.json"
_WIDE = 200
"""Characters of a line where there is no terminal that limits it."""


def table_of(folder: Path) -> Mapping[str, Any] | None:
    """The table of an artefact, or None where it has none that can be read."""
    found = read_json(folder / TABLE)
    return found if isinstance(found, dict) and isinstance(found.get("columns"), list) else None


def console(*, stderr: bool = False) -> Console:
    """A console that writes no escape bytes off a terminal, whatever FORCE_COLOR says."""
    found = Console(stderr=stderr, highlight=False)
    if found.file.isatty():
        return found
    return Console(stderr=stderr, highlight=False, force_terminal=False, no_color=True, width=_WIDE)


def print_table(table: Mapping[str, Any], out: Console) -> None:
    """Prints a table with its title and notes."""
    if table.get("title"):
        out.print(escape(str(table["title"])), style="bold")
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(table["columns"]):
        numbers = all(isinstance(row[index], (int, float)) or row[index] is None for row in table.get("rows", []))
        shown.add_column(escape(str(column)), justify="right" if numbers else "left", overflow="fold")
    for row in table.get("rows", []):
        shown.add_row(*(escape(cell(value)) for value in row))
    print_rows(shown, out)
    for note in table.get("notes", []):
        out.print(escape(str(note)))


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
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)
