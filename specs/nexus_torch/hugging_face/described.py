"""A blueprint that names a large tokenizer by its files until the checkpoint is opened for use.

A tokenizer of 700,000 words takes 370 MB to build, and whoever asks what a checkpoint is wants its name and size
alone. So `described`, which `inspect` gives, says "files:…" of one whose files are LARGE: their hash. `blueprint`,
which an engine reads, is the same with the hash of the tokenizer itself, which is built then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from nexus_specs import Blueprint, Checkpoint, NexusError

from .text.vocabulary import FILES, LARGEST_BYTES, VOCABULARIES

LARGE = 1 << 20
"""Bytes of a tokenizer's files from which on it is not built to be described: less takes about 50 MB at most."""
BY_FILES = "files:"
"""What the hash of a tokenizer's files begins with."""
CHUNK = 1 << 20


class Described:
    """A checkpoint whose tokenizer may not be built yet. A class gives `_tokenizer`."""

    described: Blueprint
    """What it is; the hash of a large tokenizer is that of its files."""

    @property
    def blueprint(self) -> Blueprint:
        """What it is, with the hash of the tokenizer itself: equal hash, same tokens."""
        if self.described.tokenizer.startswith(BY_FILES):
            found = self._tokenizer()
            lacking = () if found else ("tokenizer.json",)
            self.described = replace(self.described, tokenizer=found, missing=(*self.described.missing, *lacking))
        return self.described

    @blueprint.setter
    def blueprint(self, value: Blueprint) -> None:
        self.described = value

    def _tokenizer(self) -> str:
        """The hash of the tokenizer, built; "" where there is none that can be built."""
        raise NotImplementedError


def hashed_files(home: Path) -> str:
    """The hash of a folder's tokenizer by its files, where these are large; "" where they are small, none, or larger
    than any tokenizer's."""
    found = [home / name for name in FILES if (home / name).is_file()]
    sizes = [path.stat().st_size for path in found]
    if not any(path.name in VOCABULARIES for path in found) or sum(sizes) <= LARGE or max(sizes) > LARGEST_BYTES:
        return ""
    return hashed((path.name, _pieces(path)) for path in found)


def hashed(parts: Iterable[tuple[str, Iterable[bytes]]]) -> str:
    """Hash of what stands in files, by name, read in pieces."""
    digest = hashlib.sha256()
    for name, pieces in parts:
        digest.update(f"{len(name)}:{name}".encode())
        for piece in pieces:
            digest.update(piece)
    return BY_FILES + digest.hexdigest()[:16]


def description(checkpoint: Checkpoint) -> Blueprint:
    """What `inspect` says of a checkpoint that it opened to look at: of a large tokenizer the hash of its files."""
    return checkpoint.described if isinstance(checkpoint, Described) else checkpoint.blueprint


def _pieces(path: Path) -> Iterable[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece
    except OSError as error:
        raise NexusError(f"'{path}' cannot be read ({error.strerror}). Put the file back.") from error
