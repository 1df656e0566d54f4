"""Tells of stored tensors that nothing in the model is made of: a converter's, a head's, another model's."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

SHOWN = 4
"""Names that are told."""
_told: set[tuple[str, frozenset[str]]] = set()


def tell(source: str, head: str, names: Sequence[str], stored: Collection[str]) -> None:
    """A line on the terminal, once for each source and process: which of the `stored` tensors are left out. The names
    may be a stranger's: what is not printable is not printed."""
    key = (source, frozenset(names))
    if not names or key in _told:
        return
    _told.add(key)
    shown = ", ".join(ascii(name[:80]) for name in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    print(
        f"'{source}' holds {len(stored)} tensors, of which {len(names)} are left out: {head} has no place for {shown}"
        f"{more}. Where they matter, the file is of another model than its metadata says, or needs a newer loader.",
        file=sys.stderr,
    )
