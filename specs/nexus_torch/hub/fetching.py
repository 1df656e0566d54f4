"""One file from the hub to the disk: resumed after drops and kills, verified, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .cache import blob, link, snapshot_folder, storage
from .errors import HubError, kept_for
from .headers import kept_head
from .listing import Listing
from .names import Address
from .ranges import stream
from .telling import File

RESERVE = 200_000_000
"""Bytes that stay free on the disk."""
BLOCK = 1 << 20

Watch = Callable[[int], None]
"""Told of every block that came, in bytes, and with 0 before the hub is asked again after it fell silent; what it
raises ends the fetch. Who has none does not wait for a hub that is away."""


@dataclass(frozen=True)
class Known:
    """A range of a file that is on this disk: in `path`, from `offset` on."""

    start: int
    stop: int
    path: Path
    offset: int = 0


def fetch(listing: Listing, name: str, watch: Watch | None = None) -> Path:
    """A file of a commit in the shared cache, fetched if it is not there. HubError where the disk does not hold it."""
    hub = listing.hub
    if name not in listing.files:
        raise HubError(f"'{hub}' has no file '{name}'.")
    pointer = snapshot_folder(hub) / name
    if pointer.exists():
        return pointer
    with kept_for(hub):
        return _fetched(listing, name, watch)


def _fetched(listing: Listing, name: str, watch: Watch | None) -> Path:
    from huggingface_hub.utils import WeakFileLock

    file, hub = listing.files[name], listing.hub
    content = blob(hub, file.key)
    if not content.exists():
        lock = storage(hub).parent / ".locks" / storage(hub).name / f"{file.key}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):                             # two names of a commit may have one content
            if not content.exists():
                check_room(content.parent, file.size - _has(content), f"'{hub}/{name}'")
                download(Address.of(hub, name), file, content, watch)
    return link(hub, name, file.key)


def download(
    address: Address, file: File, target: Path, watch: Watch | None = None, known: Sequence[Known] = ()
) -> None:
    """Fetches a whole file to `target`. Bytes that an earlier attempt left in `target`.part are kept, and those that
    are on this disk already are taken from there; what does not have the hash that the hub names is fetched once more,
    wholly, then refused."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with room_for(address, part):
        _download(address, file, target, part, watch, known)


def _download(
    address: Address, file: File, target: Path, part: Path, watch: Watch | None, known: Sequence[Known]
) -> None:
    here = sorted((*known, *_head(address)), key=lambda piece: piece.start)
    for pieces in (here, []):
        if _complete(address, file, part, pieces, watch) == file.key or not file.key:
            part.replace(target)
            return
        part.unlink()
    raise HubError(
        f"'{address}' came damaged twice: its content has not the hash {file.key[:12]}… that the hub names. "
        "Try again later, or set HF_ENDPOINT to another mirror."
    )


@contextmanager
def room_for(address: Address, part: Path) -> Iterator[None]:
    """HubError that names the file where the disk turns out to be full while it is fetched."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise HubError(
            f"The disk of '{part.parent}' is full: '{address}' was being fetched there. Free some room, or give it "
            "another disk (HF_HUB_CACHE, or --run-dir or --out), and run it again: what came stays."
        ) from error


def _head(address: Address) -> Iterator[Known]:
    """The header that a loader has read."""
    kept = kept_head(address)
    with suppress(OSError):
        yield Known(0, kept.stat().st_size, kept)


def _complete(address: Address, file: File, part: Path, pieces: Sequence[Known], watch: Watch | None) -> str:
    """Brings the part to its full length; the hash of the whole."""
    digest = file.digest()
    with part.open("ab+") as out:
        if out.tell() > file.size:
            out.truncate(0)
        out.seek(0)
        while block := out.read(BLOCK):
            digest.update(block)
        still = partial(watch, 0) if watch else None
        for block, came in _blocks(address, out.tell(), file.size, pieces, still):
            out.write(block)
            digest.update(block)
            if watch and came:
                watch(len(block))
        out.flush()
        os.fsync(out.fileno())
    return str(digest.hexdigest())


def _blocks(
    address: Address, at: int, size: int, pieces: Sequence[Known], still: Callable[[], None] | None
) -> Iterator[tuple[bytes, bool]]:
    """The bytes from `at` on in blocks, and whether they came over the network."""
    for piece in pieces:
        if piece.stop <= at or piece.start > size:
            continue
        yield from ((block, True) for block in stream(address, at, piece.start, still))
        at = max(at, piece.start)
        with suppress(FileNotFoundError), piece.path.open("rb") as kept:  # who held it may have let it go: it comes
            kept.seek(piece.offset + at - piece.start)
            block = kept.read(piece.stop - at)
            yield block, False
            at += len(block)
    yield from ((block, True) for block in stream(address, at, size, still))


def _has(target: Path) -> int:
    part = target.with_name(target.name + ".part")
    return part.stat().st_size if part.exists() else 0


def check_room(folder: Path, wanted: int, what: str) -> None:
    """HubError where the disk that holds the folder has not so many bytes, before the first one is fetched."""
    home = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(home).free - RESERVE
    if wanted > free:
        raise HubError(
            f"{what} needs {sized(wanted)} on the disk of {home}, where {sized(max(0, free))} may be used. "
            "Free some, or move the cache with HF_HUB_CACHE to another disk."
        )


def sized(count: float) -> str:
    """Bytes for people.

    >>> sized(4_300_000_000)
    '4.3 GB'
    """
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
