"""Every teacher that the registry names, as a tiny random checkpoint in the real one's layout: opens, and agrees.

python benchmarks/teachers.py --quick --json       # a few of them
python benchmarks/teachers.py --write              # all of them (a minute), and docs/teachers.md from that
python benchmarks/teachers.py --only mimi,qwen3-omni --streamed
python benchmarks/teachers.py --streamed --record "a free machine"   # into benchmarks/results/teachers.json
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_specs import Installed
from report import arguments, finish, record
from tiny_teachers.facts import FACTS
from tiny_teachers.towers import ready, standing

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "teachers.md"
COLUMNS = ("teacher", "stands for", "loader", "class", "takes", "gives", "stacks", "tower", "checked",
           "not here, and why")  # fmt: skip
TOWER, TOLD = COLUMNS.index("tower"), len(COLUMNS) - 2
HEAD = """# Teachers

Written by `python benchmarks/teachers.py --write`; do not edit.

No checkpoint of the hub was opened for this table: there is no network where it is made. Each row is a tiny random
checkpoint **in the layout of the real one** (same class of configuration, same names in the file, few layers; in shards
where the real one is), built by `benchmarks/tiny_teachers/`, inspected, opened by the loader that claims it, and
observed at every stack with inputs of its modality. Its layers and its output agree with the reference forward (of
transformers or diffusers; for the families that neither holds, one that is written down anew) to {tolerance:.0e}.
Layer by layer (`--streamed`, whose result is `benchmarks/results/teachers.json`) at least three samples, each a batch
of its own, give the same to the bit as through the whole model.
The teachers without a card in `registry.yaml` are relatives, in italics.

The column *tower* says what a student would learn with: the component that the card names, whether a plugin here brings
it, and whether it gives what the teacher gives. {ready} of the {cards} cards have a tower that does both. The others
open and can be observed, as this table shows; `nexus plan` refuses to distil them, and says what is missing. A tower of
your own ([tutorial](towers-tutorial.md)), named as the component in `towers` of the registry, mends that.

{rows} teachers, {stacks} stacks, {layers} layers; the largest difference is {difference}.

"""
SOURCES = """

## Where the facts on the cards come from

Looked up in stored copies of public pages and code in November 2026 (no page was open, nothing was fetched), or
counted (ten of them by a test, from the configuration as it is published: tests/teachers). What is not named here is
from memory, most licences among it; a card whose licence could not be confirmed says so. Read the licence of what you
use.

"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of one teacher."""

    name: str
    cells: tuple[str, ...]
    layers: int
    stacks: int
    difference: float
    error: str = ""


def measured(tiny: Any, streamed: bool) -> Row:
    """One teacher, built in a folder of its own."""
    from tiny_teachers.checking import check

    with tempfile.TemporaryDirectory() as folder:
        try:
            found = check(tiny, Path(folder) / tiny.name.replace(" ", "-"), Installed(), streamed=streamed)
        except Exception as error:
            logging.getLogger(__name__).debug("%s", traceback.format_exc())
            said = " ".join(str(error).split())[:200]
            empty = (tiny.name, tiny.stands_for, *("",) * (TOLD - 2), tiny.checked, tiny.absent)
            return Row(name=tiny.name, cells=empty, layers=0, stacks=0, difference=float("inf"), error=said)
    blueprint = found.blueprint
    stacks = ", ".join(f"{stack.path} x {stack.count}" for stack in blueprint.stacks) or "none: no repeated layers"
    cells = (
        tiny.name, tiny.stands_for, found.loader, blueprint.head, ", ".join(blueprint.takes),
        ", ".join(blueprint.gives), stacks, standing(tiny.name, blueprint.gives), tiny.checked, tiny.absent,
    )  # fmt: skip
    return Row(name=tiny.name, cells=cells, layers=found.observed, stacks=len(blueprint.stacks),
               difference=found.difference)  # fmt: skip


def page(rows: Sequence[Row], cards: Sequence[str], tolerance: float) -> str:
    """The page in Markdown."""
    head = HEAD.format(
        tolerance=tolerance, rows=len(rows), stacks=sum(row.stacks for row in rows),
        layers=sum(row.layers for row in rows), difference=f"{max(row.difference for row in rows):.1e}",
        cards=len(cards), ready=sum(ready(row.cells[TOWER]) for row in rows if row.name in cards),
    )  # fmt: skip
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for row in rows:
        name, source, loader, kind, takes, gives, stacks, tower, checked, absent = row.cells
        shown = name if row.name in cards else f"*{name}*"
        code = ", ".join(f"`{each}`" for each in stacks.split(", ")) if " x " in stacks else stacks
        cells = (shown, source, loader, f"`{kind}`", takes, gives, code, tower, checked, absent)
        lines.append(f"| {' | '.join(cells)} |")
    told = [f"- {name}: {FACTS[name]}" for name in cards]
    return head + "\n".join(lines) + SOURCES + "\n".join(told) + "\n"


def main() -> None:
    """The table, the figures and, with --write, the page."""
    given = arguments(
        __doc__, only={"default": "", "help": "names, comma between"},
        write={"action": "store_true", "help": "write docs/teachers.md"},
        streamed={"action": "store_true", "help": "once more layer by layer, as well"},
        record={"metavar": "NOTE", "help": "keep the figures and rows in benchmarks/results, with a note"},
    )  # fmt: skip
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers
    from tiny_teachers.rows import TINY

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    names = [name for name in given.only.split(",") if name]
    chosen = [tiny for tiny in TINY if (not names or tiny.name in names) and (tiny.quick or not given.quick)]
    rows = [measured(tiny, given.streamed) for tiny in chosen]
    failed = [row for row in rows if row.error]
    for row in failed:
        print(f"{row.name}: {row.error}", file=sys.stderr)
    if given.write and not failed and not names and not given.quick:
        cards = [tiny.name for tiny in TINY if tiny.card]
        PAGE.write_text(page(rows, cards, max(tiny.tolerance for tiny in TINY)), encoding="utf-8")
    figures = {"teachers": len(rows), "agree": len(rows) - len(failed), "stacks": sum(row.stacks for row in rows),
               "layers": sum(row.layers for row in rows),
               "streamed": (len(rows) - len(failed)) * given.streamed}  # fmt: skip
    table = [
        [row.name, row.cells[2], row.cells[3], row.stacks, row.layers, row.error or f"{row.difference:.1e}"]
        for row in rows
    ]
    columns = ["teacher", "loader", "class", "stacks", "layers", "difference"]
    if given.record is not None and given.streamed and not names and not given.quick:
        record("teachers", columns, table, figures, given.record)
    finish(columns, table, figures, given)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
