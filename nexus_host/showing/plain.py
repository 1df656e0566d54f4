"""Plain lines, off a terminal: one for every change, and one at least every 30 seconds. No escape bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .text import duration, figures, steps

SPACING = 30.0
"""Seconds after which a run that has nothing to say says how far it is."""


class PlainView:
    """Writes what changed between two snapshots of the board."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._states: dict[str, str] = {}
        self._phase, self._spoke = "", clock()

    def show(self, snapshot: Mapping[str, Any]) -> None:
        """Says what changed; after 30 seconds of silence, what is running."""
        lines = [line for unit in snapshot["units"] for line in self._changed(unit)]
        if snapshot["phase"] != self._phase and snapshot["phase"] in ("paused", "stopping"):
            lines.append(f"[{duration(snapshot['elapsed'])}] {snapshot['phase']}")
        self._phase = snapshot["phase"]
        if not lines and self._clock() - self._spoke >= SPACING:
            lines = [self._summary(snapshot)]
        for line in lines:
            self._say(line)

    def say(self, line: str) -> None:
        """A line that is not about progress."""
        self._say(line)

    def close(self) -> None:
        """Nothing to put back."""

    def _say(self, line: str) -> None:
        self._spoke = self._clock()
        self._write(line)

    def _changed(self, unit: Mapping[str, Any]) -> list[str]:
        before = self._states.get(unit["name"], "waiting")
        self._states[unit["name"]] = unit["state"]
        if unit["state"] in (before, "cached", "failed"):  # failures are said with their cause elsewhere
            return []
        took = f" in {duration(unit['elapsed'])}" if unit["state"] == "done" else ""
        return [f"{unit['name']}: {unit['state']}{took}"]

    def _summary(self, snapshot: Mapping[str, Any]) -> str:
        units = snapshot["units"]
        ended = sum(unit["state"] in ("cached", "done") for unit in units)
        running = "; ".join(_running(unit) for unit in units if unit["state"] == "running")
        left = f", about {duration(snapshot['eta'])} left" if snapshot["eta"] is not None else ""
        head = f"[{duration(snapshot['elapsed'])}] {ended} of {len(units)} units done{left}."
        return f"{head} {running or snapshot['phase']}"


def _running(unit: Mapping[str, Any]) -> str:
    parts = [unit["name"], steps(unit["done"], unit["total"]), figures(unit["figures"])]
    return " ".join(part for part in parts if part)
