"""Puts folders out of reach of this process, for as long as it lives."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

EVENTS = ("open", "os.listdir", "os.scandir")
"""What Python asks its audit hooks about before it touches a file or folder, `os.open` included."""


def deny(folders: Iterable[Path]) -> list[Path]:
    """Every later attempt to open or list what lies in these folders raises PermissionError; there is no way back.

    Python's own audit hooks do it (PEP 578), so neither files nor rights of the machine are touched. Returns the
    folders that exist and were seen to be out of reach.
    """
    roots = [os.path.realpath(folder) for folder in folders]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and arguments and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if any(path == root or path.startswith(root + os.sep) for root in roots):
                raise PermissionError(f"'{path}' belongs to a teacher, and a release must not need it")

    sys.addaudithook(hook)
    return [Path(root) for root in roots if Path(root).exists() and _closed(Path(root))]


def _closed(folder: Path) -> bool:
    """Whether nothing in a folder can be opened."""
    with suppress(PermissionError):
        if folder.is_dir():
            next(folder.iterdir(), None)
        else:
            folder.open("rb").close()
        return False
    return True
