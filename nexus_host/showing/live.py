"""The live view on a terminal: a table of what runs, redrawn from snapshots of the board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .text import duration, figures, steps

_WIDE, _NARROW = 40, 16
"""Characters of the bar of the whole run, and of a unit's."""
_STYLES = {"running": "bold green", "failed": "red", "paused": "yellow", "stopping": "yellow"}


class LiveView:
    """Draws the board on a terminal; lines for the user scroll above it."""

    def __init__(self, console: Console) -> None:
        self._live = Live(Text("planning ...", "dim"), console=console, refresh_per_second=4, transient=True)
        self._live.start(refresh=True)

    def show(self, snapshot: Mapping[str, Any]) -> None:
        """Redraws."""
        self._live.update(drawn(snapshot))

    def say(self, line: str) -> None:
        """A line above the table."""
        self._live.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        """Takes the table away and shows the cursor again."""
        self._live.stop()


def drawn(snapshot: Mapping[str, Any]) -> RenderableType:
    """A snapshot as something rich can print."""
    table = Table(box=None, pad_edge=False)
    for name in ("unit", "", "step", "elapsed", "left", "figures"):
        table.add_column(name, justify="right" if name in ("step", "elapsed", "left") else "left", header_style="dim")
    for unit in snapshot["units"]:
        if unit["state"] == "running":
            step, times = steps(unit["done"], unit["total"]), (duration(unit["elapsed"]), duration(unit["eta"]))
            bar = ProgressBar(unit["total"] or 1, unit["done"] or 0, width=_NARROW)
            table.add_row(unit["name"], bar, step, *times, figures(unit["figures"]))
    lines = [_head(snapshot), _whole(snapshot)] + ([Text(), table] if table.row_count else [])
    return Group(*lines)


def _whole(snapshot: Mapping[str, Any]) -> RenderableType:
    """The bar of the whole run: by time where it is known, else by units."""
    elapsed, left = snapshot["elapsed"], snapshot["eta"]
    if left is not None:
        return ProgressBar(max(elapsed + left, 1e-9), elapsed, width=_WIDE)
    states = [unit["state"] for unit in snapshot["units"]]
    return ProgressBar(max(1, len(states)), sum(state in ("done", "cached") for state in states), width=_WIDE)


def _head(snapshot: Mapping[str, Any]) -> Text:
    states = [unit["state"] for unit in snapshot["units"]]
    ended = sum(state in ("done", "cached") for state in states)
    phase = snapshot["phase"]
    head = Text.assemble((phase, _STYLES.get(phase, "")), f"  {ended}/{len(states)} units")
    for state in ("cached", "failed", "blocked"):
        if state in states:
            head.append(f", {states.count(state)} {state}", _STYLES.get(state, "dim"))
    head.append(f"  elapsed {duration(snapshot['elapsed'])}  left {duration(snapshot['eta'])}")
    return head
