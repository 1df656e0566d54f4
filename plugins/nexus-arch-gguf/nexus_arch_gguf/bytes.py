"""A file read forwards through a small window: no range is trusted before it is known to lie inside the file."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

from nexus_specs import NexusError

from .remote import opened

WINDOW = 1 << 16
"""Bytes read at once."""
HEADER_LIMIT = 128 << 20
"""The largest header that is walked through, in bytes; of the largest vocabularies it takes 20 MiB."""


class Cursor:
    """A position in a file. Whatever would pass the end, or the limit of a header, is a NexusError with `field`."""

    def __init__(self, path: Path, start: int = 0, stop: int | None = None) -> None:
        self.path = path
        self.remote = opened(path)
        self.file = -1 if self.remote else _opened(path)
        self.size = self.remote.size if self.remote else os.fstat(self.file).st_size
        self.end = min(self.size, HEADER_LIMIT) if stop is None else min(stop, self.size)
        self.base, self.at, self.window = start, 0, b""
        self.field = "the magic number"

    def close(self) -> None:
        """Closes the file."""
        if self.remote is None:
            os.close(self.file)

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def position(self) -> int:
        """Offset of the next byte."""
        return self.base + self.at

    def take(self, count: int) -> bytes:
        """The next bytes. `count` is checked against the file before anything is read."""
        self._check(count)
        if self.at + count > len(self.window):
            self._fill(count)
        found = self.window[self.at : self.at + count]
        if len(found) < count:
            raise self.wrong("the file ends inside it")
        self.at += count
        return found

    def peek(self, count: int) -> bytes:
        """The next bytes, as many as there are, without passing over them."""
        found = self.take(min(count, self.end - self.position))
        self.at -= len(found)
        return found

    def skip(self, count: int) -> None:
        """Passes over bytes without reading them."""
        self._check(count)
        if self.at + count <= len(self.window):
            self.at += count
        else:
            self.base, self.at, self.window = self.position + count, 0, b""

    def skip_strings(self, count: int) -> None:
        """Passes over strings, each an 8-byte length and as many bytes."""
        while count:
            window, at = self.window, self.at
            last = len(window) - 8
            while count and at <= last:                     # within the window, where nearly all of them lie
                after = at + 8 + int.from_bytes(window[at : at + 8], "little")
                if after > len(window):
                    break
                at, count = after, count - 1
            self.at = at
            if count:
                self.skip(int.from_bytes(self.take(8), "little"))
                count -= 1

    def number(self, form: str) -> int:
        """A whole number: "I" 4 bytes, "Q" 8 bytes, little-endian."""
        return int(struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0])

    def text(self, limit: int) -> str:
        """A string of at most `limit` bytes of UTF-8."""
        length = self.number("Q")
        if length > limit:
            raise self.wrong(f"a name of {length} bytes, more than the {limit} that are allowed")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.wrong("a name that is not UTF-8") from error

    def wrong(self, what: str) -> NexusError:
        """The error that names file, field and position, in one line whatever the file calls things."""
        said = f"{self.field}, at byte {self.position}: {what}"
        said = "".join(each if each.isprintable() else repr(each)[1:-1] for each in said)
        return NexusError(
            f"'{self.path}' is not a sound GGUF file: {said}. "
            "It is damaged, cut off or no GGUF file: fetch or convert it again."
        )

    def _check(self, count: int) -> None:
        if count > self.end - self.position:
            where = "file" if self.end == self.size else "header"
            raise self.wrong(f"{count} bytes are wanted, and the {where} has {self.end - self.position} more")

    def _fill(self, count: int) -> None:
        start = self.position
        window = WINDOW if self.remote is None else WINDOW // 16
        wanted = max(count, min(window, self.end - start))
        if self.remote is None:
            self.window = os.pread(self.file, wanted, start)
        else:
            self.remote.seek(start)
            pieces, left = [], wanted                       # a raw file gives less than it was asked for
            while left > 0 and (piece := self.remote.read(left)):
                pieces.append(piece)
                left -= len(piece)
            self.window = b"".join(pieces)
        self.base, self.at = start, 0


def _opened(path: Path) -> int:
    """The descriptor of a file. NexusError for what is none: a pipe would be waited for without end."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise NexusError(f"'{path}' cannot be read ({error.strerror}). Mend `source`.") from error
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise NexusError(f"'{path}' is no file (a folder, a pipe or a device). Put the file there, or mend `source`.")
