"""Rows of logits that are made at a time: every window has the same number of them."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK, LEAST = 32 << 20, 64
"""Bytes of float32 logits that exist at a time; rows below which products would be slow, and are not made."""


def rows_at_once(vocabulary: int) -> int:
    """Rows of logits that are made at a time.

    >>> rows_at_once(128_256), rows_at_once(300) > 20_000
    (64, True)
    """
    fitting = BLOCK // (4 * max(1, vocabulary))
    return max(LEAST, fitting - fitting % LEAST)


def windows(first: int, last: int, total: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(begin, from, to): windows of `size` of `total` rows, and which of their rows lie in [first, last).

    >>> list(windows(3, 10, 10, 4)), list(windows(0, 3, 3, 4))
    ([(0, 3, 4), (4, 0, 4), (6, 2, 4)], [(0, 0, 3)])
    """
    size = min(size, total)
    while first < last:
        begin = min(first - first % size, total - size)
        end = min(last, begin + size)
        yield begin, first - begin, end - begin
        first = end
