"""Tells of stored tensors that nothing in the model is made of: a converter's, a head's, another model's."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..telling import once

SHOWN = 4
"""Names that are told."""


def tell(source: str, head: str, names: Sequence[str], stored: Collection[str]) -> None:
    """A line on the terminal, once for each source and process: which of the `stored` tensors are left out. The names
    may be a stranger's: what is not printable is not printed."""
    if not names:
        return
    shown = ", ".join(ascii(name[:80]) for name in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    once(
        (source, frozenset(names)),
        f"'{source}' holds {len(stored)} tensors, of which {len(names)} are left out: {head} has no place for {shown}"
        f"{more}. Where they matter, the file is of another model than its metadata says, or needs a newer loader.",
    )
