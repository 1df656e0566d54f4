"""Files of text as they are opened: unpacked on the way, and what is no text at all refused by its first bytes, before
a line of it is taken for one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from nexus_specs import NexusError


def _zstd(raw: BinaryIO) -> Any:
    """By pyarrow, which is here anyhow and brings the format along."""
    import pyarrow

    return pyarrow.CompressedInputStream(raw, "zstd")


UNPACKED: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open, b"\x28\xb5\x2f\xfd": _zstd,
}  # fmt: skip
"""First bytes -> what unpacks them."""
ARCHIVES = {b"PK\x03\x04": ("a zip archive", "unzip")}
"""First bytes -> what it is, and the command that unpacks it: there may be several files in it."""
WIDE = (b"\xff\xfe", b"\xfe\xff")
"""How UTF-16 begins. Its lines, cut at bytes, would be other letters, or none."""
LOOKED_AT = 8


@contextmanager
def opened(file: Path, name: str, *, lines: bool = True) -> Iterator[BinaryIO]:
    """The bytes of a file of text. NexusError for what is an archive, packed twice, damaged, or, where it is read by
    lines, in UTF-16."""
    with file.open("rb") as raw:
        first = raw.read(LOOKED_AT)
        raw.seek(0)
        _refuse(first, name, lines)
        unpack = _unpacker(first)
        if unpack is None:
            yield raw
            return
        try:
            with io.BufferedReader(unpack(raw)) as unpacked:
                begin = unpacked.peek(LOOKED_AT)[:LOOKED_AT]
                _refuse(begin, name, lines)
                if _unpacker(begin) is not None:
                    raise NexusError(f"{name} is packed twice. Unpack it once.")
                yield cast("BinaryIO", unpacked)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            said = f"{name} is damaged: it cannot be unpacked to its end ({error}). Fetch it again."
            raise NexusError(said) from error


def _unpacker(first: bytes) -> Callable[[BinaryIO], Any] | None:
    return next((unpack for begins, unpack in UNPACKED.items() if first.startswith(begins)), None)


def _refuse(first: bytes, name: str, lines: bool) -> None:
    for begins, (what, command) in ARCHIVES.items():
        if first.startswith(begins):
            raise NexusError(f"{name} is {what}. Unpack it ({command}), and name the file that is in it.")
    if lines and first.startswith(WIDE):
        raise NexusError(f"{name} is UTF-16. Save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > NEW")
