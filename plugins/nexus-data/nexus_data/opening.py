"""Files of text as they are opened: gzip unpacked on the way, and what is no text at all refused by its first bytes,
before a line of it is taken for one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from nexus_specs import NexusError

GZIP = b"\x1f\x8b"
PACKED = {
    b"BZh": ("bzip2", "bunzip2"), b"\xfd7zXZ\x00": ("xz", "unxz"), b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"PK\x03\x04": ("a zip archive", "unzip"),
}  # fmt: skip
"""First bytes -> what it is, and the command that unpacks it."""
WIDE = (b"\xff\xfe", b"\xfe\xff")
"""How UTF-16 begins. Its lines, cut at bytes, would be other letters, or none."""


@contextmanager
def opened(file: Path, name: str, *, lines: bool = True) -> Iterator[BinaryIO]:
    """The bytes of a file of text. NexusError for what is packed otherwise than by gzip, damaged, or, where it is read
    by lines, in UTF-16."""
    with file.open("rb") as raw:
        first = raw.read(8)
        raw.seek(0)
        _refuse(first, name, lines)
        if not first.startswith(GZIP):
            yield raw
            return
        try:
            with gzip.open(raw) as unpacked:
                begin = unpacked.read(8)
                _refuse(begin, name, lines)
                unpacked.seek(0)
                yield cast("BinaryIO", unpacked)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            said = f"{name} is damaged: it cannot be unpacked to its end ({error}). Fetch it again."
            raise NexusError(said) from error


def _refuse(first: bytes, name: str, lines: bool) -> None:
    for begins, (what, command) in PACKED.items():
        if first.startswith(begins):
            raise NexusError(f"{name} is {what}. Unpack it ({command}); gzip alone is unpacked on the way.")
    if lines and first.startswith(WIDE):
        raise NexusError(f"{name} is UTF-16. Save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW")
