"""The lock of a run directory: `flock` on the folder itself is the truth, `lock.json` only tells people who holds it.

The kernel frees it when its holder dies, however it dies. Locking the folder instead of a file in it leaves nothing
that a user could delete to get past it. Handles are not inherited, so no worker keeps it.
"""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from nexus_specs import NexusError

from .atomic import read_json, write_json

NOTE, STATUS = "lock.json", "status.json"
_OF_A_UNIT = {"name", "fingerprint", "state", "done", "total", "figures", "elapsed", "error"}
"""What readers of `status.json` ask of a unit."""
_MOMENT = 0.2
"""Seconds to wait for a holder that is on its way out, or that only looks (`held`)."""
_PATIENCE = 10.0
"""Seconds that a holder gets to save and stop before it is killed (--take-over)."""


class Busy(NexusError):
    """Another process holds the run directory."""

    exit_code = 3


class Lock:
    """Exclusive use of a run directory, as a context manager. Raises Busy at once if another process has it."""

    def __init__(self, run: Path, *, take_over: bool = False) -> None:
        self.run, self.take_over = run, take_over
        self._handle = -1

    def __enter__(self) -> Lock:
        try:
            self.run.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self.run, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NexusError(
                f"The run directory {self.run} cannot be used: {error}. Choose another --run-dir."
            ) from error
        if not self._try(_MOMENT) and not (self.take_over and self._end_holder()):
            os.close(self._handle)
            raise Busy(refusal(self.run))
        self.note("starting")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        (self.run / NOTE).unlink(missing_ok=True)
        os.close(self._handle)

    def note(self, phase: str) -> None:
        """Tells whoever asks what this process is doing."""
        process = psutil.Process()
        about = {"pid": process.pid, "start": process.create_time(), "command": " ".join(sys.argv), "phase": phase}
        write_json(self.run / NOTE, about | {"host": platform.node()}, durable=False)

    def _try(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.05)
            else:
                return True

    def _end_holder(self) -> bool:
        holder = read_json(self.run / NOTE, {})
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if process := alive(holder):
                process.send_signal(sign)
            if self._try(_PATIENCE):
                return True
        return False


def alive(about: Any) -> psutil.Process | None:
    """The process that a note names, if it still runs here: same host, same PID, same time of start."""
    if not isinstance(about, dict) or about.get("host", platform.node()) != platform.node():
        return None
    try:
        process = psutil.Process(about["pid"])
        same = abs(process.create_time() - about["start"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None
    return process if same else None


def held(run: Path) -> bool:
    """Whether some process has the run directory now."""
    if not run.is_dir():
        return False
    handle = os.open(run, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def note_of(run: Path) -> Mapping[str, Any]:
    """What `lock.json` says of its holder; {} where it is not one that we wrote."""
    note = read_json(run / NOTE, {})
    return note if {"pid", "start", "host", "command", "phase"} <= set(note) else {}


def status_note(run: Path) -> dict[str, Any]:
    """What `status.json` says; {} where it is not one that we wrote."""
    found: dict[str, Any] = read_json(run / STATUS, {})
    units, about = found.get("units"), found.get("run")
    rows = units if isinstance(units, list) else [None]
    whole = isinstance(about, dict) and all(isinstance(each, dict) and set(each) >= _OF_A_UNIT for each in rows)
    return found if whole and {"phase", "elapsed", "eta"} <= set(found) else {}


def refusal(run: Path) -> str:
    """Who has the run directory, and what to do."""
    note = note_of(run)
    if not note:
        return f"{run} is in use by another process. Wait for it, or use another --run-dir."
    status = status_note(run)
    units = [unit["name"] for unit in status.get("units", ()) if unit["state"] == "running"]
    now = f" {', '.join(units)}" if units and status["run"]["pid"] == note["pid"] else ""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(note["start"]))
    return (
        f"{run} is in use by process {note['pid']} on {note['host']} (`{note['command']}`, since {since}, "
        f"phase: {note['phase']}{now}). Wait for it, use another --run-dir, or end it with --take-over."
    )
