"""Documents cut into the windows that text is trained and scored on."""

from __future__ import annotations

from collections.abc import Iterator

LIMIT = 1024


def windows(text: str, limit: int = LIMIT) -> Iterator[str]:
    """Consecutive pieces of at most `limit` bytes that join to `text`.

    They are cut after a line where one ends, and never inside a character.

    >>> list(windows("ab\\ncd\\nef", limit=7))
    ['ab\\ncd\\n', 'ef']
    """
    rest = text.encode()
    while len(rest) > limit:
        cut = rest.rfind(b"\n", 0, limit) + 1 or character_start(rest, limit)
        yield rest[:cut].decode()
        rest = rest[cut:]
    if rest:
        yield rest.decode()


def character_start(data: bytes, at: int) -> int:
    """The last position up to `at` that does not fall inside a UTF-8 character."""
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return at
