"""What the `tokenizers` library prints before Python can catch it: a regular expression of a stranger's tokenizer.json
that goes on too long over a text ends in a panic of Rust, which writes its stack to the terminal by itself."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STANDARD_ERROR = 2
REPEATED = re.compile(r"\)[*+{]")
"""A group that is repeated: without one, nothing is tried in more ways than the library allows."""
_LOCK = threading.RLock()


def risky(pattern: object) -> bool:
    """Whether a regular expression may be tried in more ways than can be counted."""
    return isinstance(pattern, str) and REPEATED.search(pattern) is not None


@contextmanager
def hushed(*, risk: bool) -> Iterator[None]:
    """Where there is a risk, standard error is kept back, one thread after the other: of what raises nothing is heard
    (the exception says what it was), else it comes behind."""
    if not risk:
        yield
        return
    with _LOCK, tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        before = os.dup(STANDARD_ERROR)
        os.dup2(kept.fileno(), STANDARD_ERROR)
        try:
            yield
            kept.seek(0)
            os.write(before, kept.read())
        finally:
            os.dup2(before, STANDARD_ERROR)
            os.close(before)
