"""SHA-256 of files, remembered while size and time of change stay the same; what identifies files of many gigabytes
without their being read through."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic import read_json, write_json

_RACY = 2.0
"""Seconds: a file changed this recently may change again within one tick of its clock, so it is not remembered."""
LARGE = 1 << 30
"""Bytes from which on a file is identified by samples: a teacher of 700 GB would take a quarter of an hour to hash."""
EDGE, STEP, PIECE = 1 << 20, 4 << 20, 16 << 10
"""Bytes of both ends of such a file that count; distance and size of the samples between them."""
_BLOB = re.compile(r"[0-9a-f]{64}")
_seen: dict[str, tuple[int, int, str]] = {}


def file_hash(path: Path) -> str:
    """SHA-256 in hexadecimal; from memory where the file was hashed by this process and has not changed since."""
    found = path.stat()
    size, changed, known = _seen.get(str(path), (-1, -1, ""))
    if (size, changed) != (found.st_size, found.st_mtime_ns):
        known = _digest(path)
        _seen[str(path)] = (found.st_size, found.st_mtime_ns, known)
    return known


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(path: Path) -> str:
    """What a file holds, in 64 hexadecimal digits: its SHA-256. Of a blob in a hub's cache that is its name; of a file
    from `LARGE` bytes on it is the hash of its size, its time of change, both its ends and a sample every few
    megabytes: the time tells an edit between the samples, the samples a file that took another one's place and time."""
    place = path.resolve()
    if place.parent.name == "blobs" and _BLOB.fullmatch(place.name):
        return place.name
    found = place.stat()
    return _digest(place) if found.st_size < LARGE else _sampled(place, found.st_size, found.st_mtime_ns)


def _sampled(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256(f"sampled {size} {changed} {EDGE} {STEP} {PIECE}\n".encode())
    with path.open("rb", buffering=0) as file:
        _expect(file.fileno(), "POSIX_FADV_RANDOM")
        for start, length in ((0, EDGE), *((at, PIECE) for at in range(STEP, size - EDGE, STEP)), (size - EDGE, EDGE)):
            file.seek(start)
            digest.update(file.read(length))
        _expect(file.fileno(), "POSIX_FADV_DONTNEED")
    return digest.hexdigest()


def _expect(handle: int, how: str) -> None:
    """Tells the kernel how a file is read, where it can be told: nothing is read ahead, and nothing kept in memory."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, 0, 0, getattr(os, how))


def text_hash(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


class Remembered:
    """What files and folders hold, as hashes that outlive the process in a file of the user's cache folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found: dict[str, Any] = read_json(path, {})
        self._known = {name: entry for name, entry in found.items() if isinstance(entry, list) and len(entry) == 3}
        self._new = False

    def tree(self, path: Path) -> str:
        """The hash of a file, or of a folder by the names and contents of its files (hidden ones left out)."""
        if path.is_file():
            return self.file(path)
        inside = sorted(each for each in path.rglob("*") if each.is_file() and not _hidden(each.relative_to(path)))
        return self.files({each.relative_to(path).as_posix(): each for each in inside})

    def files(self, files: Mapping[str, Path]) -> str:
        """The hash of files under the names given."""
        return text_hash("\n".join(f"{name} {self.file(path)}" for name, path in sorted(files.items())))

    def file(self, path: Path) -> str:
        """The `identity` of one file."""
        found = path.resolve().stat()
        entry = self._known.get(str(path.resolve()))
        if entry and entry[:2] == [found.st_size, found.st_mtime_ns]:
            return str(entry[2])
        digest = identity(path)
        if time.time() - found.st_mtime > _RACY:
            self._known[str(path.resolve())] = [found.st_size, found.st_mtime_ns, digest]
            self._new = True
        return digest

    def save(self) -> None:
        """Keeps what was hashed for the next process; a cache folder that cannot be written to is no error."""
        if self._new:
            try:
                write_json(self.path, self._known, durable=False)
            except OSError:
                return
            self._new = False


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in path.parts)
