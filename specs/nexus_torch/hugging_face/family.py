"""What loaders of one family share: folders that transformers does not hold as they are, composed of its parts.

Imports no torch: `match` answers without.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nexus_specs import Blueprint, Checkpoint, Installed, Lookup, NexusError, Origin

from nexus_torch import hub

HEADER_LIMIT = 8 << 20
"""Bytes of the longest header of a file that is looked into."""


class Family(ABC):
    """Kind "architecture" of one family. A family says which folders are its own, what it calls them, and how it opens
    one."""

    called = ""
    """What a source of this family is, for the person who named another one: "a folder with ..."."""

    @abstractmethod
    def reads(self, place: str) -> bool:
        """Whether a folder, or a name on the hub, is of this family."""

    @abstractmethod
    def made(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint of a source that is. Torch is imported here at the earliest."""

    def place(self, source: str) -> str:
        """The folder of a source: all of it, unless the family writes something behind."""
        return source

    def match(self, source: str) -> int:
        """2 for what is of this family: more than a loader that could only try."""
        return 2 if source and self.reads(self.place(source)) else 0

    def origin(self, source: str) -> Origin | None:
        """Where the source is pinned on the hub; None for what is on this machine."""
        return hub.origin(self.place(source))

    def latest(self, source: str) -> str:
        """The commit that a name on the hub has now; "" where nobody can tell."""
        return hub.latest(self.place(source))

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads configuration and headers."""
        from .described import description  # torch is there once a checkpoint is open

        return description(self.open(source, Installed()))

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint. NexusError for what is not of this family."""
        if not self.match(source):
            raise NexusError(f"'{source}' is not {self.called}. `nexus inspect {source}` says what it is.")
        return self.made(source, lookup)


def row(loader: str, architecture: str, head: str, modalities: Sequence[str], *, generates: bool) -> dict[str, Any]:
    """A row of `nexus list architectures`."""
    return {
        "architecture": architecture,
        "heads": [head],
        "generates": generates,
        "loader": loader,
        "modalities": list(modalities),
    }


def stored_names(path: Path) -> frozenset[str]:
    """Names in the header of a safetensors file on this machine; none where it is no such file."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length)) if 0 < length <= HEADER_LIMIT else {}
    except (OSError, ValueError, RecursionError):
        return frozenset()
    return frozenset(header) if isinstance(header, dict) else frozenset()
