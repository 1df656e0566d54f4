"""Ctrl-C and SIGTERM: the first asks the units to save and stop, the second ends everything at once; while a run is
planned nothing is to be saved, and the first ends it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from nexus_specs import NexusError

CAUGHT = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_APART = 0.3
"""Seconds after which a signal is a second one: what ends a job (`timeout`, a scheduler) sends the first to the process
and to its group."""


class Interrupted(NexusError):
    """A run was asked to end before a unit of it began."""

    label = ""

    def __init__(self, code: int) -> None:
        super().__init__("Interrupted before anything ran. The same command begins again.")
        self.exit_code = code


class Stop:
    """Catches the signals while it is entered, and puts back what was there before."""

    def __init__(self, at_once: Callable[[], None]) -> None:
        self.at_once = at_once
        self.number = 0
        """The signal that asked to stop; 0: none did."""
        self.saves = True
        """Whether something runs that saves its state first; else the first signal raises KeyboardInterrupt."""
        self._first = 0.0
        self._before: dict[int, Any] = {}

    @property
    def code(self) -> int:
        """The exit code that the signal asks for: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + self.number

    def __enter__(self) -> Stop:
        for number in CAUGHT:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays as it is
                self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            with suppress(TypeError):
                signal.signal(number, handler)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if not self.number:
            self._first, self.number = time.monotonic(), number
            if not self.saves:
                raise KeyboardInterrupt
        elif time.monotonic() - self._first > _APART:
            self.at_once()
        self.number = number
