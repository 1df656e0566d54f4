"""Sizes and hashes of what lies in a folder, from the headers of its files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from nexus_torch.files import file_hash, read_header
from nexus_torch.identity import file_hashes


def size_of(folder: Path) -> int:
    """Parameters in all safetensors files below a folder: everything that is shipped counts."""
    entries = (entry for path in tensor_files(folder) for entry in read_header(path)[0].values())
    return sum(math.prod(entry["shape"]) for entry in entries)


def bytes_of(folder: Path) -> int:
    """Bytes of all safetensors files below a folder: what it takes in memory once it is loaded."""
    return sum(path.stat().st_size for path in tensor_files(folder))


def tensor_files(folder: Path) -> list[Path]:
    """All safetensors files below a folder, in order."""
    return sorted(folder.rglob("*.safetensors"))


def copies(folder: Path, hashes: frozenset[str]) -> Iterator[str]:
    """Names ("file: tensor") of tensors that are a teacher's."""
    for path in tensor_files(folder):
        for name, found in file_hashes(path):
            if found in hashes:
                yield f"{path.relative_to(folder)}: {name}"


def files_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in paths}
