"""Sizes as people write them, for whoever takes one as an option."""

from __future__ import annotations

import re
from fractions import Fraction

MOST, DIGITS = 1 << 63, 40
"""Bytes that no machine has; figures that no size has."""
UNITS = {"": 1, "B": 1} | {
    prefix + ending: base**power
    for power, prefix in enumerate("KMGT", 1)
    for ending, base in (("", 1000), ("B", 1000), ("IB", 1024))
}


def size(value: str | int) -> int:
    """Bytes of "8GB", "500 MiB" or a plain number; KB is 1000, KiB is 1024. Raises ValueError, for nothing too.

    >>> size("1.5 KiB")
    1536
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(value))
    if found is None or found[2].upper() not in UNITS:
        raise ValueError(f"'{value}' is no size; write a number of bytes, or one like 8GB or 500MiB")
    made = int(Fraction(found[1]) * UNITS[found[2].upper()]) if len(found[1]) <= DIGITS else MOST
    if not 0 < made < MOST:
        much = "more than any machine has" if made else "nothing: what takes no bytes cannot run"
        raise ValueError(f"'{str(value)[:DIGITS]}' is {much}; leave it out, or write one like 8GB or 500MiB")
    return made
