"""For tests of what survives a kill: in a process of its own, at a moment that the test chooses."""

from __future__ import annotations

import os
import signal
from typing import Any


class Doom:
    """Ends the process without a warning at one of the many things that it does."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def before(self, kind: type, name: str) -> None:
        """One of these things is a call of a method."""
        native = getattr(kind, name)

        def doomed(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return native(*args, **kwargs)

        setattr(kind, name, doomed)
