"""How far a long work is, on stderr: one line that is written over on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

OFTEN, SELDOM = 0.5, 15.0
"""Seconds between two lines on a terminal, and elsewhere."""
WIDTH = 60


class Progress:
    """Called with what is done and what there is to do; says the share and about how long the rest takes."""

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self.name, self.stream = name, stream or sys.stderr
        self.live = self.stream.isatty()
        self.made, self.begun, self.first, self.last = time.monotonic(), 0.0, 0, 0.0

    def __call__(self, done: int, total: int) -> None:
        """Writes a line, if it is time for one."""
        now = time.monotonic()
        if not self.begun:
            self.begun, self.first, self.last = now, done, now
        over = done >= total
        if not over and now - self.last < (OFTEN if self.live else SELDOM):
            return
        self.last = now
        text = f"{self.name}: {100 * done // max(1, total)} %"
        if not over and done > self.first:
            text += f", about {duration((now - self.begun) * (total - done) / (done - self.first))} left"
        elif over:
            text += f" in {duration(now - self.made)}"
        print(f"\r{text:{WIDTH}}" if self.live else text, end="" if self.live and not over else "\n", file=self.stream)
        self.stream.flush()

    def broken(self) -> None:
        """What is written next begins on a line of its own."""
        if self.live and self.begun:
            print(file=self.stream)


def duration(seconds: float) -> str:
    """A time for people.

    >>> [duration(each) for each in (0.2, 59, 61, 5400, 200_000)]
    ['0 s', '59 s', '1 min', '1.5 h', '2.3 days']
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} days"
