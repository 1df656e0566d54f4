"""Puts folders, and the network, out of reach of this process for as long as it lives."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import landlock, native
from .landlock import Kept

TOUCHING = frozenset({"open", "os.listdir", "os.scandir", "os.link", "os.rename", "sqlite3.connect"})
"""What Python asks its audit hooks about before it touches a file or folder, `os.open` included."""
CONNECTING = frozenset({
    "socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
    "socket.gethostbyaddr",
})  # fmt: skip
STARTING = frozenset({"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "pty.spawn", native.SPAWNING})
"""Before another program starts, which no hook of this process reaches."""
LOCAL = 1
"""`socket.AF_UNIX`: processes of this machine, not the network."""


def deny(folders: Iterable[Path]) -> tuple[list[Path], Kept]:
    """Every later attempt to open or list what lies in these folders, or to connect to another machine, fails; there
    is no way back. Call it before threads are started.

    The kernel does it where it can (`landlock`): for libraries in C and child processes too. Python's own audit hooks
    do it everywhere (PEP 578), for what is done from Python, and for the readers in C that everybody uses (`native`);
    other programs are not started where the kernel would not hold them. Neither files nor rights of the machine are
    touched. Returns the folders that exist and were seen to be out of reach, and what the kernel keeps so.
    """
    given = [os.path.realpath(folder) for folder in folders]
    roots = sorted({*given, *(target for root in given for target in _targets(root))})
    kept = landlock.restrict(roots)
    kept = kept._replace(files=kept.files and not any(_readable(root) for root in given))
    if not kept.files:
        native.ask_first()
    if not all(kept):
        native.tell_of_programs()
    sys.addaudithook(_hook(roots, kept))
    return [Path(root) for root in given if Path(root).exists() and _closed(Path(root))], kept


def _hook(roots: Sequence[str], kept: Kept) -> Callable[[str, tuple[Any, ...]], None]:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in CONNECTING and getattr(arguments[0], "family", None) != LOCAL:
            raise PermissionError("a release is verified offline, and must not need the network")
        if event in STARTING and not all(kept):
            raise PermissionError("a release is verified without other programs where the kernel cannot hold them")
        if event in TOUCHING and arguments and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if any(path == root or path.startswith(root + os.sep) for root in roots):
                raise PermissionError(f"'{path}' belongs to a teacher, and a release must not need it")

    return hook


def _targets(root: str) -> Iterator[str]:
    """Where the links in a folder lead to: in a hub's cache, a snapshot consists of them."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)  # noqa: PTH118  # strings, as the kernel wants them
            if os.path.islink(path):  # noqa: PTH114
                yield os.path.realpath(path)


def _readable(root: str) -> bool:
    """Whether a file of a folder can be read, whatever Python's hooks say."""
    first = next((Path(folder, name) for folder, _, files in os.walk(root) for name in files), Path(root))
    if not first.is_file():
        return False
    with suppress(PermissionError):
        os.close(os.open(first, os.O_RDONLY))
        return True
    return False


def _closed(folder: Path) -> bool:
    """Whether nothing in a folder can be opened."""
    with suppress(PermissionError):
        if folder.is_dir():
            next(folder.iterdir(), None)
        else:
            folder.open("rb").close()
        return False
    return True
