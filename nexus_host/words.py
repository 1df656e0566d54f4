"""Words for people: suggestions, lists of names, sizes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

UNITS = {"": 1, "B": 1} | {
    prefix + ending: base**power
    for power, prefix in enumerate("KMGT", 1)
    for ending, base in (("", 1000), ("B", 1000), ("IB", 1024))
}


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


def size(value: str | int) -> int:
    """Bytes of "8GB", "500 MiB" or a plain number; KB is 1000, KiB is 1024. Raises ValueError.

    >>> size("1.5 KiB")
    1536
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(value))
    if found is None or found[2].upper() not in UNITS:
        raise ValueError(f"'{value}' is no size; write a number of bytes, or one like 8GB or 500MiB")
    return int(float(found[1]) * UNITS[found[2].upper()])


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
