"""Renders a `table.json` (title, columns, rows, notes) as an SVG picture for the README.

python docs/images/table.py nexus-run/release/table.json docs/images/result.svg
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

MARKS = {"pass": "green", "fail": "red"}
WIDTH = 150


def cell(value: Any) -> Text:
    """A cell, with a colour for pass and fail."""
    text = "" if value is None else str(value)
    return Text(text, style=MARKS.get(text.partition(" ")[0].lower(), ""))


def drawn(table: Mapping[str, Any]) -> str:
    """The picture. Its ids depend on the table alone, so that equal tables give equal files."""
    grid = Table(title=table["title"], title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for number, name in enumerate(table["columns"]):
        grid.add_column(str(name), justify="left" if number == 0 else "right")
    for row in table["rows"]:
        grid.add_row(*map(cell, row))
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(grid)
    for note in table.get("notes", ()):
        console.print(Text(str(note), style="dim"))
    return console.export_svg(title="nexus run", unique_id="nexus")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Path(sys.argv[2]).write_text(drawn(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), encoding="utf-8")
