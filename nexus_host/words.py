"""Words for people: what can be shown, suggestions, lists of names, sizes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What steers a terminal or turns the order of what it shows, and what cannot be written at all."""


def visible(text: str) -> str:
    """A text that may hold words of a stranger's file, as it can be shown: what would steer the terminal is spelt out.

    >>> visible("plain") + visible(chr(27) + "[2J")
    'plain\\\\x1b[2J'
    """
    return HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)


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
