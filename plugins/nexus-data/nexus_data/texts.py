"""Text files in windows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .endings import with_packed
from .opening import opened
from .options import TextOptions
from .reader import FileReader
from .rows import Malformed, Row
from .windows import windows

WHOLE = 10
"""From so many files on, a file is never divided between parts; fewer are divided by window."""


class Text(FileReader):
    """Kind "reader": text files, in windows of at most `window` bytes that begin at a line."""

    options_type = TextOptions
    suffixes = (*with_packed(".txt"), ".md", ".rst", ".text", ".py", ".c", ".h")

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """A row for each window; `where` is its first line."""
        try:
            with opened(file, name, lines=False) as raw:
                text = raw.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            broken.add(name, f"is not UTF-8 ({error.reason} at byte {error.start})")
            return
        line, group = 1, name if self._many else ""
        for number, window in enumerate(windows(text, self.options.window)):
            if window.strip():
                yield Row(where=f"{name}:{line}", values={"text": window}, group=group or f"{number}/{window}")
            line += window.count("\n")

    @property
    def _many(self) -> bool:
        return not self.options.parts and len(self.files("train")) >= WHOLE
