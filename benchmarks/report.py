"""What the benchmarks share: the flags --quick and --json, a table on stdout, one line of figures at the end.

given = arguments(__doc__)
finish(["step", "seconds"], [["help", 0.2]], {"seconds": 0.2}, given)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")


def arguments(about: str | None, **more: Mapping[str, Any]) -> argparse.Namespace:
    """The flags of a benchmark: --quick, --json, and `more` (name -> keywords of `add_argument`)."""
    parser = argparse.ArgumentParser(description=(about or "").strip().partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="less of everything: seconds, no claim")
    parser.add_argument("--json", action="store_true", help="last line: the figures as one JSON object")
    for name, keywords in more.items():
        parser.add_argument(f"--{name}", **keywords)
    return parser.parse_args()


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns as wide as their widest cell; numbers on the right.

    >>> print(table(["step", "seconds"], [["help", 0.25]]))
    step  seconds
    help    0.250
    """
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(len(row[at]) for row in [list(columns), *cells]) for at in range(len(columns))]
    right = [all(isinstance(row[at], (int, float)) for row in rows) for at in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join(line(row) for row in [list(columns), *cells])


def finish(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], figures: Mapping[str, Any], given: argparse.Namespace
) -> None:
    """Prints the table, and with --json the figures as the last line."""
    print(table(columns, rows))
    if given.json:
        print(json.dumps(dict(figures)))


def record(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], figures: Mapping[str, Any], note: str
) -> None:
    """Keeps a result in `results/NAME.json`, a row a line: with the cores, the load of the last minute, and a note on
    what else the machine did."""
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
    short = {name: _rounded(each) for name, each in figures.items()}
    top = {"note": note, "machine": machine, "figures": short, "columns": list(columns)}
    text = spread(top | {"rows": [[_rounded(cell) for cell in row] for row in rows]}, ["rows"])
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


def spread(fields: Mapping[str, Any], wide: Collection[str]) -> str:
    """A JSON object with a line for each field, and for each item of the `wide` ones: what changed shows in a diff.

    >>> print(spread({"note": "idle", "rows": [["help", 0.25], ["plan", 1.5]]}, ["rows"]), end="")
    {
     "note": "idle",
     "rows": [
      ["help", 0.25],
      ["plan", 1.5]
     ]
    }
    """
    written = {name: _items(each) if name in wide else json.dumps(each) for name, each in fields.items()}
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {each}" for name, each in written.items()) + "\n}\n"


def _items(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(each)}" for key, each in value.items()) + "\n }"
    return "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n ]"


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
