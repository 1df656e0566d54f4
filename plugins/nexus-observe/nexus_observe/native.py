"""Readers written in C or Rust that open files without Python's knowledge: made to ask its audit hooks first.

For machines whose kernel cannot keep a process from files (`landlock`). Each is replaced by a function that opens the
file from Python before it hands it on; what else is written in C, and takes a path, is not held.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

READERS = (
    ("safetensors", "safe_open"),
    ("tokenizers", "Tokenizer.from_file"),
    ("torch", "UntypedStorage.from_file"),
)
"""Module, and the path of the reader in it."""
SPAWNING = "nexus.spawn"
"""The event of a program that `multiprocessing` starts, for which Python has none."""


def ask_first() -> None:
    """Wraps the readers that are installed."""
    for module, path in READERS:
        with suppress(ImportError):
            _wrap(importlib.import_module(module), path, _asking)


def tell_of_programs() -> None:
    """Raises `SPAWNING` before `multiprocessing` starts a program."""
    _wrap(importlib.import_module("_posixsubprocess"), "fork_exec", _telling)


def _wrap(module: Any, path: str, wrapper: Callable[[Any], Any]) -> None:
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, module)
    native = getattr(owner, name)
    wrapped = wrapper(native)
    setattr(owner, name, staticmethod(wrapped) if owners else wrapped)
    for other in list(sys.modules.values()) if not owners else ():     # who imported it by its name
        for known, value in list(getattr(other, "__dict__", {}).items()):
            if value is native:
                setattr(other, known, wrapped)


def _asking(native: Any) -> Any:
    @functools.wraps(native, updated=())
    def asking(*given: Any, **named: Any) -> Any:
        path = given[0] if given else named.get("filename", named.get("path"))
        if path is not None:
            with open(path, "rb"):  # noqa: PTH123  # whatever the reader takes
                pass
        return native(*given, **named)

    return asking


def _telling(native: Any) -> Any:
    @functools.wraps(native, updated=())
    def telling(*given: Any, **named: Any) -> Any:
        sys.audit(SPAWNING)
        return native(*given, **named)

    return telling
