"""The one atomic writer: what is at a path is the old content or the new, never a mixture, also after a power cut.

Temporary name in the same folder, fsync of the content, rename, fsync of the folder. `torch.save`, `json.dump` and
parquet writers destroy the good file when they are killed; this lost none in kills at every system call.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

MARK = ".nexus-making-"
"""How a temporary name begins; `sweep` finds what a kill left behind by it."""
LARGEST_JSON = 1 << 28
"""Bytes of a note, a status or a result that is read."""
_EXCHANGE, _HERE = 2, -100
"""RENAME_EXCHANGE and AT_FDCWD, as Linux's headers have them."""


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path to write a file or a folder to; it takes the place of `path` when the block ends well.

    `durable=False` leaves fsync out: whole, but perhaps the old content after a power cut (status files).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        if durable:
            sync_tree(temporary)
        move(temporary, path)
        if durable:
            sync_folder(path.parent)
    finally:
        remove(temporary)


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other process uses."""
    return path.parent / f"{MARK}{path.name}-{os.getpid()}"


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Writes a whole file."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Writes a value as JSON."""
    write_bytes(path, json_bytes(value), durable=durable)


def json_bytes(value: Any) -> bytes:
    """JSON with sorted keys, so that equal values are equal bytes; what of a name is no text (a path of other bytes) is
    escaped as JSON does."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def read_json(path: Path, default: Any = None) -> Any:
    """Parsed JSON, or the default where there is no readable JSON, or JSON of another type than the default. What is no
    file (a pipe would be waited for), or larger than any of ours, is not read."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST_JSON:
            return default
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return default
    return found if default is None or isinstance(found, type(default)) else default


def move(source: Path, target: Path) -> None:
    """Renames; a folder that is in the way is exchanged in one step where the system can, and removed."""
    if source.is_dir() and target.exists():
        if not exchange(source, target):
            aside = target.parent / f"{MARK}old-{target.name}-{os.getpid()}"
            target.rename(aside)
            source.rename(target)
            source = aside
        remove(source)
    else:
        source.replace(target)


def exchange(first: Path, second: Path) -> bool:
    """Swaps two paths in one step (Linux renameat2); False where the system or the disk has no such step."""
    call = getattr(_libc(), "renameat2", None)
    names = os.fsencode(first), os.fsencode(second)
    return call is not None and call(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0


@cache
def _libc() -> Any:
    return ctypes.CDLL(None)


def sync_tree(path: Path) -> None:
    """Flushes a file, or a folder with all that is in it, and gives each file the mode that the user's umask wants
    (safetensors writes 0600, which nobody else could read)."""
    if path.is_dir():
        for each in sorted(path.iterdir()):
            sync_tree(each)
        sync_folder(path)
        return
    path.chmod(0o666 & ~_umask())
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Flushes the entries of a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@cache
def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def remove(path: Path) -> None:
    """Removes a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            path.unlink()


def sweep(folder: Path, inside: Iterable[str] = ()) -> None:
    """Removes temporary files and folders that a killed process left in a folder, and anywhere inside some of its
    own. Only under the run's lock."""
    for found in (folder.glob(f"{MARK}*"), *((folder / name).rglob(f"{MARK}*") for name in inside)):
        for each in sorted(found):
            remove(each)
