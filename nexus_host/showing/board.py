"""The board of a run: what every unit is doing. `status.json` is its snapshot and the only truth about a run; the live
view, the plain lines and `nexus status` are readers of it."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import psutil
from nexus_specs import Machine, plain

from ..planning import Plan, Task
from ..store import write_json
from ..store.lock import STATUS
from ..store.progress import read_progress

SCHEMA = "nexus.status/1"
UnitState = Literal["cached", "waiting", "running", "done", "failed", "paused", "blocked"]
_SPACING = 1.0
"""Seconds between two writes of status.json."""


@dataclass
class Entry:
    """One unit on the board."""

    task: Task
    state: UnitState
    expected: float | None = None
    """Seconds that it should take."""
    started: float = 0.0
    """Monotonic; 0 before it starts."""
    seconds: float = 0.0
    error: str = ""
    note: Mapping[str, Any] = field(default_factory=dict)
    """Latest progress: done, total, figures."""

    @property
    def elapsed(self) -> float:
        """Seconds since it started, or that it took."""
        return time.monotonic() - self.started if self.state == "running" else self.seconds

    @property
    def left(self) -> float | None:
        """Seconds until it is done: from its progress, else from what was expected; None where nobody knows."""
        if self.state == "running" and self.note.get("done", 0) > 0:
            done, total = float(self.note["done"]), float(self.note["total"])
            return max(0.0, self.elapsed * (total - done) / done)
        if self.state in ("cached", "done", "failed", "blocked"):
            return 0.0
        return None if self.expected is None else max(0.0, self.expected - self.elapsed)

    @property
    def _overdue(self) -> bool:
        """Whether it takes longer than was expected and does not say how far it is: nobody knows when it ends."""
        return self.state == "running" and not self.left and not self.note.get("done")

    def facts(self) -> dict[str, Any]:
        """As `status.json` has it."""
        known = {"done": self.note.get("done"), "total": self.note.get("total")}
        return {
            "name": self.task.unit.name,
            "stage": self.task.unit.stage,
            "subject": self.task.unit.subject,
            "fingerprint": self.task.unit.fingerprint,
            "state": self.state,
            "why": list(self.task.why),
            **known,
            "figures": dict(self.note.get("figures", {})),
            "elapsed": round(self.elapsed, 2),
            "eta": None if self.left is None or self._overdue else round(self.left, 1),
            "error": self.error,
        }


class Board:
    """The state of a run. Written at most once a second, and when something changed that must not be missed."""

    def __init__(self, plan: Plan, workers: int, machine: Machine | None = None) -> None:
        self.plan, self.workers, self.machine = plan, workers, machine
        self.entries = {
            task.unit.name: Entry(
                task=task, state="cached" if task.state == "cached" else "waiting", expected=plan.expected(task)
            )
            for task in plan.tasks
        }
        self.phase = "planning"
        self._began, self._started, self._written = datetime.now().astimezone(), time.monotonic(), 0.0
        self._start = psutil.Process().create_time()

    def poll(self) -> None:
        """Reads the progress of what is running."""
        for entry in self.entries.values():
            if entry.state == "running":
                entry.note = read_progress(self.plan.run, entry.task.unit)

    def snapshot(self) -> dict[str, Any]:
        """What `status.json` says."""
        return {
            "schema": SCHEMA,
            "phase": self.phase,
            "run": {
                "pid": os.getpid(),
                "start": self._start,
                "host": platform.node(),
                "command": " ".join(sys.argv),
                "started": self._began.isoformat(timespec="seconds"),
            },
            "updated": datetime.now().astimezone().isoformat(timespec="seconds"),
            "elapsed": round(time.monotonic() - self._started, 1),
            "eta": self.left(),
            "workers": self.workers,
            "precision": self.plan.budget.precision,
            "machine": plain(self.machine),
            "units": [entry.facts() for entry in self.entries.values()],
        }

    def left(self) -> float | None:
        """Seconds until the run is done, as if the work could be spread evenly; None where a unit gives no hint."""
        rest = [entry.left for entry in self.entries.values()]
        if any(each is None for each in rest):
            return None
        known = [each for each in rest if each is not None]
        return round(max(sum(known) / self.workers, max(known, default=0.0)), 1)

    def write(self, *, force: bool = False) -> None:
        """Writes `status.json`; no error where the disk is full, since the run itself says so where it matters."""
        now = time.monotonic()
        if force or now - self._written >= _SPACING:
            self._written = now
            with suppress(OSError):
                write_json(self.plan.run / STATUS, self.snapshot(), durable=False)
