"""The table of results: one row for each model type and head, one line a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

Row = dict[str, Any]
THEIRS, OURS = "transformers", "nexus"
"""Whose a failure is."""


def empty(model_type: str, head: str) -> Row:
    """A row of which nothing is known yet."""
    return {
        "type": model_type, "head": head, "takes": [], "stacks": {}, "opened": False, "agree": False,
        "difference": None, "streamed": False, "whose": "", "reason": "",
    }  # fmt: skip


def figures(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Model types in the table; how many of them have a row that opened, agreed, streamed; and how many have a failing
    row that is ours, or one that is transformers' own."""
    every = list(rows)
    return (
        {"types": len({each["type"] for each in every})}
        | {name: len({each["type"] for each in every if each[name]}) for name in ("opened", "agree", "streamed")}
        | {
            name: len({each["type"] for each in every if each.get("whose") == whose})
            for name, whose in (("ours", OURS), ("theirs", THEIRS))
        }
    )


def read(path: Path) -> list[Row]:
    """The table as it stands; empty where there is none, or one that was made with another transformers."""
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    rows: list[Row] = found["rows"]
    return rows if found["transformers"] == version("transformers") else []


def merge(path: Path, found: Iterable[Row]) -> list[Row]:
    """The table with these rows in the place of all rows of their types: read again, since another may write it."""
    new = list(found)
    types = {each["type"] for each in new}
    rows = [each for each in read(path) if each["type"] not in types] + new
    write(path, rows)
    return rows


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Sorted, so that a repeated row changes one line."""
    lines = [json.dumps(each, sort_keys=True) for each in sorted(rows, key=lambda each: (each["type"], each["head"]))]
    head = f'{{"transformers": "{version("transformers")}", "torch": "{version("torch")}", "rows": [\n'
    waiting = path.with_name(path.name + ".part")
    waiting.write_text(head + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
    waiting.replace(path)
