"""Worker processes: each leaves (pid, time of start) in the run directory, so that those of a dead run are found again
and ended, never by name."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

from .atomic import read_json, write_json
from .lock import alive

WORKERS = "workers"
_PR_SET_PDEATHSIG = 1
_PATIENCE = 5.0
"""Seconds for a killed process to be gone."""


def register(run: Path, parent: int) -> None:
    """Called in a worker: it dies with its parent, and is listed until then."""
    with suppress(AttributeError, OSError):  # only Linux has it; elsewhere the list alone finds orphans
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before the call above
        os._exit(1)
    me = psutil.Process()
    write_json(run / WORKERS / f"{me.pid}.json", {"pid": me.pid, "start": me.create_time()}, durable=False)


def end_orphans(run: Path) -> list[int]:
    """Ends workers that a dead run left behind, and returns their PIDs. Only under the run's lock."""
    ended = []
    for path in sorted((run / WORKERS).glob("*.json")):
        note = read_json(path)
        if process := alive(note):
            with suppress(psutil.Error):
                process.kill()
            deadline = time.monotonic() + _PATIENCE
            while alive(note) and time.monotonic() < deadline:
                time.sleep(0.01)
            ended.append(process.pid)
        path.unlink(missing_ok=True)
    return ended


def forget(run: Path) -> None:
    """Empties the list when the run has ended its workers itself."""
    for path in (run / WORKERS).glob("*.json"):
        path.unlink(missing_ok=True)
