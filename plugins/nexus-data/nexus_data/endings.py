"""How files of text end that are packed, each unpacked on the way."""

from __future__ import annotations

PACKED = (".gz", ".zst", ".bz2", ".xz")


def with_packed(*endings: str) -> tuple[str, ...]:
    """These endings, and each of them with one of `PACKED` behind it.

    >>> with_packed(".csv")
    ('.csv', '.csv.gz', '.csv.zst', '.csv.bz2', '.csv.xz')
    """
    return (*endings, *(f"{ending}{packed}" for ending in endings for packed in PACKED))
