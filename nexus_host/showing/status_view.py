"""`nexus status`: what `status.json` says, and whether the process that wrote it still runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..store import alive
from ..store.lock import note_of, status_note
from .tables import print_rows
from .text import duration, figures, steps

_ACTIVE = ("planning", "running", "paused", "stopping")


def status_of(run: Path) -> dict[str, Any]:
    """The status of a run directory. Of a run whose process is gone the phase is "interrupted", whatever it last
    wrote. Raises NexusError where there has been no run."""
    found = status_note(run)
    if not found:
        holder = note_of(run)
        if not alive(holder):
            raise NexusError(f"{run} holds no run. Start one with: nexus run --run-dir {run}")
        return {"phase": holder["phase"], "run": dict(holder), "units": [], "elapsed": None, "eta": None}
    status = found
    if status["phase"] in _ACTIVE and not alive(status["run"]):
        status["phase"], status["eta"] = "interrupted", None
        for unit in status["units"]:
            if unit["state"] == "running":
                unit["state"] = "interrupted"
    return status


def print_status(status: Mapping[str, Any], out: Console) -> None:
    """Prints a status in a line, and its units below it."""
    line = f"{status['phase']}, process {status['run']['pid']}"
    if status["elapsed"] is not None:
        line += f", {duration(status['elapsed'])} elapsed"
    if status["eta"] and status["phase"] in _ACTIVE:
        line += f", about {duration(status['eta'])} left"
    out.print(escape(line))
    table = Table(box=None, pad_edge=False)
    for name in ("unit", "state", "step", "time", ""):
        table.add_column(name, justify="right" if name in ("step", "time") else "left")
    for unit in status["units"]:
        table.add_row(*(escape(text) for text in _row(unit)))
    if status["units"]:
        print_rows(table, out)


def _row(unit: Mapping[str, Any]) -> list[str]:
    time = duration(unit["elapsed"]) if unit["elapsed"] else ""
    more = unit["error"].splitlines()[0] if unit["error"] else figures(unit["figures"])
    return [unit["name"], unit["state"], steps(unit["done"], unit["total"]), time, more]
