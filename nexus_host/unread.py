"""What becomes of a command whose output nobody reads any more (`nexus list architectures | head -1`): it ends, in
silence, as a shell's own commands do."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

UNREAD = 141
"""The exit code of such a command: a shell's for what SIGPIPE ended."""


def unread() -> bool:
    """Whether stdout or stderr is a pipe that nobody reads any more. What was still to be written goes nowhere then,
    so that Python says nothing about it at its end."""
    gone = [stream for stream in (sys.__stdout__, sys.__stderr__) if stream is not None and _gone(stream)]
    for stream in gone:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return bool(gone)


def _gone(stream: TextIO) -> bool:
    try:
        stream.flush()
    except BrokenPipeError:
        return True
    except (OSError, ValueError):                            # closed, or a disk that is full: said elsewhere
        return False
    with suppress(AttributeError, OSError, ValueError):      # no poll on Windows
        asked = select.poll()
        asked.register(stream.fileno(), 0)
        return any(found & select.POLLERR for _, found in asked.poll(0))
    return False
