"""Progress of a unit: a small file that its worker writes and the parent reads; and the ways to ask for a pause."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus_specs import Unit

from .atomic import read_json, write_json

PROGRESS, PAUSE, STOPPING = "progress", "pause", "stopping"
"""`pause` is made by people and observers and waits for its removal; `stopping` by a run that was told to end."""


def _path(run: Path, unit: Unit) -> Path:
    return run / PROGRESS / f"{unit.stage}-{unit.subject}.json"


def write_progress(run: Path, unit: Unit, done: int, total: int, figures: Mapping[str, float]) -> None:
    """Notes how far a unit is; figures that are no numbers are left out, since JSON has none."""
    known = {name: float(value) for name, value in figures.items() if math.isfinite(value)}
    note = {"done": int(done), "total": int(total), "figures": known}
    with suppress(OSError):  # a full disk stops the unit where it writes what matters, not here
        write_json(_path(run, unit), note, durable=False)


def read_progress(run: Path, unit: Unit) -> Mapping[str, Any]:
    """The latest note; {} before the first."""
    found: Mapping[str, Any] = read_json(_path(run, unit), {})
    return found


def clear_progress(run: Path, unit: Unit) -> None:
    """Removes the note of a unit that is about to start."""
    _path(run, unit).unlink(missing_ok=True)


def asked_to_pause(run: Path) -> bool:
    """Whether units should save their state and stop."""
    return (run / PAUSE).exists() or (run / STOPPING).exists()
