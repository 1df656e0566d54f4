"""What the hub of the tests holds, what it counts, and how it is made to fail."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .hub_files import Repository, Stored, commit_of

LARGE = (".safetensors", ".gguf", ".parquet", ".arrow", ".bin")
"""Endings of files that the hub keeps outside git, by their SHA-256."""


@dataclass
class HubState:
    """A hub's repositories. Set `drops`, `busy`, `damaged` and `rate` at any time."""

    token: str = "hf_test"  # noqa: S105 (it opens nothing but this server)
    drops: int = 0
    """How many more connections are broken, each after `drop_after` bytes of a file."""
    drop_after: int = 10_000
    damaged: Counter[str] = field(default_factory=Counter)
    """File name -> how many times it is served with a wrong byte."""
    busy: int = 0
    """How many more requests are answered with 429, which asks to come again `after` some time."""
    after: Mapping[str, str] = field(default_factory=lambda: {"Retry-After": "1"})
    """The headers that say when."""
    page: int = 1_000
    """Rows of a listing that one answer has; the next one is told in its head, at the hub that a mirror is one of."""
    rate: float = 0.0
    """Bytes a second that a connection gives at most; 0: all it can."""
    served: Counter[str] = field(default_factory=Counter)
    """ "owner/name/file" -> bytes of it that left this server."""
    requests: list[str] = field(default_factory=list)
    """ "METHOD path" of every request."""
    ranges: bool = True
    """Whether ranges are served."""

    def __post_init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.lock = threading.Lock()

    def add(
        self,
        name: str,
        folder: Path,
        *,
        kind: str = "model",
        gated: bool = False,
        private: bool = False,
        branch: str = "main",
    ) -> str:
        """Puts what a folder holds under a name, as a new commit of a branch. The commit."""
        files = {
            path.relative_to(folder).as_posix(): Stored.of(path, path.suffix in LARGE)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        commit = commit_of(files)
        found = self.repositories.setdefault((kind, name), Repository(name, kind))
        found.gated, found.private = gated, private
        found.commits[commit] = files
        found.branches[branch] = commit
        return commit

    def breaks(self) -> bool:
        """Takes one of the drops, if any is left."""
        with self.lock:
            if not self.drops:
                return False
            self.drops -= 1
            return True

    def is_busy(self) -> bool:
        """Takes one of the refusals, if any is left."""
        with self.lock:
            if not self.busy:
                return False
            self.busy -= 1
            return True

    def damages(self, name: str) -> bool:
        """Takes one of the damages of a file, if any is left."""
        with self.lock:
            if not self.damaged[name]:
                return False
            self.damaged[name] -= 1
            return True

    def count(self, name: str, size: int) -> None:
        """Notes bytes that left."""
        with self.lock:
            self.served[name] += size
