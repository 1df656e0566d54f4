"""Words for people: suggestions, lists of names, sizes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A question to append to a message, or nothing where no name is near.

    >>> did_you_mean("perquet", ["parquet", "jsonl"])
    " Did you mean 'parquet'?"
    """
    folded = {each.lower(): each for each in allowed}
    near = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    return f" Did you mean '{folded[near[0]]}'?" if near else ""


def listed(names: Iterable[object]) -> str:
    """Names for a sentence.

    >>> listed(["a", "b"]), listed([])
    ('a, b', 'none')
    """
    return ", ".join(str(name) for name in names) or "none"


def bytes_text(count: float) -> str:
    """A number of bytes for people.

    >>> bytes_text(1_230_000)
    '1.2 MB'
    """
    for unit in ("B", "KB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
