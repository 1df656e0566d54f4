"""Files and the network put out of reach of this process and its children by the kernel: Linux's Landlock.

A process may give up rights for good, without rights of its own. Landlock knows no "all but these", so what may still
be read is listed: everything beside the way down to each folder. Libraries in C and child processes are held to it too.
(https://docs.kernel.org/userspace-api/landlock.html; the numbers are those of linux/landlock.h.)
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

CREATE, ADD, RESTRICT = 444, 445, 446
"""System calls, the same on all architectures that have them."""
VERSION, BENEATH, NO_NEW_PRIVILEGES = 1, 1, 38
READ_FILE, MOVE, CONNECT = 1 << 2, 1 << 13, 1 << 1
WITH_MOVES, WITH_NETWORK = 2, 4
"""Versions from which on files can be allowed to move between folders, and connections are known of."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class Kept(NamedTuple):
    """What the kernel keeps out of reach."""

    files: bool
    network: bool
    """Connections over TCP."""


def restrict(roots: Iterable[str]) -> Kept:
    """No file in these folders (real paths) can be read any more, and no connection be made over TCP, by whatever this
    thread starts from now on; as far as this kernel offers that. Where it offers nothing, nothing is changed."""
    if not sys.platform.startswith("linux") or (version := _call(CREATE, None, 0, VERSION)) < 1:
        return Kept(files=False, network=False)
    allowed = READ_FILE | (MOVE if version >= WITH_MOVES else 0)
    network = version >= WITH_NETWORK
    asked = _Ruleset(files=allowed, network=CONNECT if network else 0)
    rules = _call(CREATE, ctypes.byref(asked), ctypes.sizeof(asked if network else ctypes.c_uint64), 0)
    if rules < 0:
        return Kept(files=False, network=False)
    try:
        for path in beside(roots):
            _allow(rules, path, allowed)
        library = ctypes.CDLL(None, use_errno=True)
        done = library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0 and _call(RESTRICT, rules, 0) == 0
    finally:
        os.close(rules)
    return Kept(files=done, network=done and network)


def beside(roots: Iterable[str]) -> Iterator[str]:
    """Every path that neither lies in one of these folders nor leads to it, the fewest that cover all: links are left
    out, since what they lead to is covered by its own path. Where there is no such folder: all there is."""
    closed = set(roots)
    if not closed:
        yield os.sep
    open_ = {parent for root in closed for parent in _above(root)} - closed
    for folder in sorted(open_):
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.path not in open_ and entry.path not in closed and not entry.is_symlink():
                    yield entry.path


def _above(path: str) -> Iterator[str]:
    while path != os.path.dirname(path):  # noqa: PTH120  # strings, as the kernel wants them
        path = os.path.dirname(path)  # noqa: PTH120
        yield path


def _allow(rules: int, path: str, allowed: int) -> None:
    """Allows a file, or what lies in a folder. What is gone meanwhile, or is no place of files, is left out."""
    with suppress(OSError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            folder = stat.S_ISDIR(os.fstat(place).st_mode)
            rule = _Beneath(allowed=allowed if folder else READ_FILE, parent=place)
            _call(ADD, rules, BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(place)


def _call(*arguments: object) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    return int(library.syscall(*(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)))
