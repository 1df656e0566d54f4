"""Ctrl-C and SIGTERM: the first asks the units to save and stop, the second ends everything at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

_CAUGHT = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stop:
    """Catches the signals while it is entered, and puts back what was there before."""

    def __init__(self, at_once: Callable[[], None]) -> None:
        self.at_once = at_once
        self.number = 0
        """The signal that asked to stop; 0: none did."""
        self._before: dict[int, Any] = {}

    @property
    def code(self) -> int:
        """The exit code that the signal asks for: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.number

    def __enter__(self) -> Stop:
        for number in _CAUGHT:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays as it is
                self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            with suppress(TypeError):
                signal.signal(number, handler)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            self.at_once()
        self.number = number
