"""The live view on a terminal: a table of what runs, redrawn from snapshots of the board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .text import duration, figures, steps

_STYLES = {"running": "bold", "failed": "red", "paused": "yellow", "stopping": "yellow"}


class LiveView:
    """Draws the board on a terminal; lines for the user scroll above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._live.start()

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
    for name in ("unit", "step", "elapsed", "left", ""):
        table.add_column(name, justify="left" if name in ("unit", "") else "right")
    for unit in snapshot["units"]:
        if unit["state"] == "running":
            step = steps(unit["done"], unit["total"])
            table.add_row(
                unit["name"], step, duration(unit["elapsed"]), duration(unit["eta"]), figures(unit["figures"])
            )
    return Group(_head(snapshot), table)


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
