"""Sizes as people write them, for whoever takes one as an option."""

from __future__ import annotations

import re

UNITS = {"": 1, "B": 1} | {
    prefix + ending: base**power
    for power, prefix in enumerate("KMGT", 1)
    for ending, base in (("", 1000), ("B", 1000), ("IB", 1024))
}


def size(value: str | int) -> int:
    """Bytes of "8GB", "500 MiB" or a plain number; KB is 1000, KiB is 1024. Raises ValueError.

    >>> size("1.5 KiB")
    1536
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(value))
    if found is None or found[2].upper() not in UNITS:
        raise ValueError(f"'{value}' is no size; write a number of bytes, or one like 8GB or 500MiB")
    return int(float(found[1]) * UNITS[found[2].upper()])
