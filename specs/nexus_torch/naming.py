"""Errors of the system that name the file at which they arose; without torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path


class Unwritten(OSError):
    """A file could not be written; `tensors` are those of which it was to hold some, as far as that is known."""

    tensors: tuple[str, ...] = ()


@contextmanager
def naming(path: Path, tensors: Collection[str] = ()) -> Iterator[None]:
    """An OSError of a write or a sync does not know its file: it gets this one's name, and those of the tensors."""
    try:
        yield
    except OSError as error:
        if error.errno is None or (error.filename is not None and not tensors):
            raise
        if not tensors:
            raise OSError(error.errno, error.strerror, str(path)) from error
        named = Unwritten(error.errno, error.strerror, error.filename or str(path))
        named.tensors = tuple(tensors)
        raise named from error
