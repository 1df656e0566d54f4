"""Long texts in windows: at line ends, never inside a character."""

from __future__ import annotations

from collections.abc import Iterator


def windows(text: str, size: int) -> Iterator[str]:
    """Pieces of at most `size` bytes of UTF-8 that join to the text; a line that is longer is cut between characters.

    >>> list(windows("one\\ntwo\\nthree\\n", 9))
    ['one\\ntwo\\n', 'three\\n']
    """
    if size <= 0:
        yield text
        return
    open_lines, used = "", 0
    for line in _lines(text, size):
        length = _bytes(line)
        if used + length > size:
            yield open_lines
            open_lines, used = "", 0
        open_lines, used = open_lines + line, used + length
    if open_lines:
        yield open_lines


def _lines(text: str, size: int) -> Iterator[str]:
    """The lines with their ends, those of more than `size` bytes in pieces."""
    for line in text.splitlines(keepends=True):
        if _bytes(line) <= size:
            yield line
            continue
        piece, used = "", 0
        for character in line:
            length = _bytes(character)
            if piece and used + length > size:
                yield piece
                piece, used = "", 0
            piece, used = piece + character, used + length
        yield piece


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
