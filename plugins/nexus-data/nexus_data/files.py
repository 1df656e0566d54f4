"""Which files a part has, and the hash of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from nexus_specs import NexusError, Split, locate

from .endings import PACKED

SPLITS = get_args(Split)


def part_files(path: str, parts: dict[str, Any], split: Split, suffixes: Sequence[str]) -> list[tuple[Path, str]]:
    """(file, its name below the folder that was given), sorted by name; a part that is not given is an error."""
    if split not in SPLITS:
        raise NexusError(f"There is no part '{split}'. The parts of all data: {', '.join(SPLITS)}.")
    if not parts:
        if not path:
            raise NexusError("The data name neither `path` nor `parts`. Name a file or folder: options: {path: FILE}")
        return _below(path, suffixes)
    if split not in parts:
        given = ", ".join(parts)
        raise NexusError(f"The data have no part '{split}', only {given}. Add it: parts: {{{split}: FILE}}")
    found = [parts[split]] if isinstance(parts[split], str) else parts[split]
    if not isinstance(found, Sequence) or not found or not all(isinstance(each, str) and each for each in found):
        raise NexusError(f"The part '{split}' is {parts[split]!r}. Name a file, a folder or a list of them.")
    return [pair for each in found for pair in _below(each, suffixes)]


def _below(path: str, suffixes: Sequence[str]) -> list[tuple[Path, str]]:
    root = placed(path)
    if is_file(root):
        return [(root, root.name)]
    if not is_folder(root):
        raise NexusError(f"The data '{path}' are not there. Give a file or a folder that exists.")
    files = sorted(file for file in root.rglob("*") if kind(file) in suffixes and file.is_file())
    if not files:
        raise NexusError(f"The folder '{path}' holds no file that ends in {', '.join(suffixes)}.")
    return [(file, file.relative_to(root).as_posix()) for file in files]


def kind(file: Path) -> str:
    """What its name says that it is: its end, or its last two where it is packed."""
    return "".join(file.suffixes[-2:] if file.suffix.lower() in PACKED else file.suffixes[-1:]).lower()


def placed(path: str) -> Path:
    """Where a location lies; NexusError for one inside a package that is not installed."""
    try:
        return locate(path)
    except FileNotFoundError as error:
        raise NexusError(f"{error}. Install it, or name other data.") from error


def content_hash(files: Iterable[tuple[Path, str]], options: Any) -> str:
    """Over names below the given folder, content and options; never over where the files lie. A file that is not there
    counts as that."""
    digest = hashlib.sha256(repr(options).encode())
    for file, name in files:
        found = hashed(file) if is_file(file) else "absent"
        digest.update(f"\0{name}\0{found}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def hashed(file: Path) -> str:
    """The hash of a file, found once for each of its states."""
    return _hash(version(file))


def is_file(file: Path) -> bool:
    """Whether there is such a file, be its name ever so odd."""
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False


def is_folder(place: Path) -> bool:
    """Likewise of a folder."""
    try:
        return place.is_dir()
    except (OSError, ValueError):
        return False


def version(file: Path) -> tuple[Path, int, int]:
    """A file with its size and time of change."""
    status = file.stat()
    return file, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=65_536)
def _hash(version: tuple[Path, int, int]) -> str:
    """Of one file at one size and time of change."""
    with version[0].open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
