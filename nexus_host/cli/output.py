"""What commands write: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from nexus_specs import plain

from ..showing.tables import console, print_table
from ..words import HIDDEN, visible

json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout")


def emit_json(value: Any) -> None:
    """A value on stdout, as JSON."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, default=str)
    print(HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def emit_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", notes: Sequence[str] = ()
) -> None:
    """A table on stdout."""
    print_table({"title": title, "columns": columns, "rows": [list(row) for row in rows], "notes": notes}, console())


def say(text: str) -> None:
    """A line on stderr."""
    print(visible(text), file=sys.stderr)
