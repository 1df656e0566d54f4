"""Which reader reads what a user names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from .components import ReaderComponent, locate
from .work import Lookup, NexusError

LOOKED_AT = 1000
"""Files of a folder whose endings decide its reader."""
ABOUT = ("readme", "license", "licence", "changelog", "citation", ".", "dataset_info", "dataset_dict", "state.json")
"""How names begin of files that stand beside data and are none, as a data set's own page."""


def reader_for(source: str, lookup: Lookup) -> str:
    """The reader of a file by its ending, of a folder by the commonest ending in it that any reader knows.

    Raises NexusError in the terms of `--data SOURCE`: nothing there, or nothing that is read.
    """
    readers = {
        suffix: name
        for name, reader in lookup.components("reader").items()
        if isinstance(reader, ReaderComponent)
        for suffix in reader.suffixes
    }
    path = locate(source)
    if not path.exists():
        raise NexusError(f"--data {source}: there is no such file or folder.")
    names = list(islice(_files(path), LOOKED_AT))
    said = [name for name in names if not name.lower().startswith(ABOUT)] or names
    suffixes = Counter(_ending(name, readers) for name in said)
    known = [suffix for suffix, _ in suffixes.most_common() if suffix in readers]
    if not known:
        found = ", ".join(suffix or "files without an ending" for suffix in suffixes) or "a folder without files"
        raise NexusError(f"--data {source}: no reader is installed for {found}. Readers know: {_listed(readers)}.")
    return readers[known[0]]


def _ending(name: str, known: Collection[str]) -> str:
    """The end of a file's name; its last two (.jsonl.gz) where a reader knows those."""
    two = "".join(Path(name).suffixes[-2:]).lower()
    return two if two in known else Path(name).suffix.lower()


def _files(path: Path) -> Iterator[str]:
    """Names of files, always in the same order; no more of a large folder is looked at than is asked for."""
    if path.is_file():
        yield path.name
    for _, folders, names in os.walk(path):
        folders.sort()
        yield from sorted(names)


def _listed(readers: dict[str, str]) -> str:
    return ", ".join(sorted(readers)) or "none"
