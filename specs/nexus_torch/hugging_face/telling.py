"""What is said on the terminal once for each process: nobody reads it a second time."""

from __future__ import annotations

import sys
from collections.abc import Hashable

_told: set[Hashable] = set()


def once(key: Hashable, text: str) -> None:
    """Says `text`, unless something was said under this key before."""
    if key not in _told:
        _told.add(key)
        print(text, file=sys.stderr)
