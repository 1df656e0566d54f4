"""What the hub of the tests holds: files with the hashes that the hub names, commits, branches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO


@dataclass(frozen=True)
class Stored:
    """A file on the server. What is large is read from its folder each time, so that must not change."""

    path: Path
    size: int
    blob: str
    sha256: str
    content: bytes = b""

    @classmethod
    def of(cls, path: Path, large: bool) -> Stored:
        """A file as it is now. What is large is kept by its SHA-256, with a pointer to it in git."""
        size = path.stat().st_size
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        content = pointer if large else path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        return cls(path, size, blob, sha256 if large else "", b"" if large else content)

    def open(self) -> BinaryIO:
        """Its bytes."""
        return self.path.open("rb") if self.sha256 else BytesIO(self.content)

    @property
    def etag(self) -> str:
        """What the server calls this content."""
        return self.sha256 or self.blob

    def row(self, name: str) -> dict[str, Any]:
        """As `/tree` and `/paths-info` say it."""
        large = {"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": 130}} if self.sha256 else {}
        return {"type": "file", "oid": self.blob, "size": self.size, "path": name} | large


@dataclass
class Repository:
    """A model or a data set."""

    name: str
    kind: str
    gated: bool = False
    private: bool = False
    commits: dict[str, Mapping[str, Stored]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, revision: str) -> str:
        """The commit behind a branch or a commit; "" for neither."""
        return self.branches.get(revision, revision if revision in self.commits else "")

    def info(self, commit: str) -> dict[str, Any]:
        """As `/api/models/NAME` says it."""
        return {
            "_id": commit[:24], "id": self.name, "sha": commit, "private": self.private,
            "gated": "manual" if self.gated else False, "disabled": False, "tags": [], "downloads": 0, "likes": 0,
            "siblings": [{"rfilename": name} for name in self.commits[commit]],
            "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
        }  # fmt: skip


def commit_of(files: Mapping[str, Stored]) -> str:
    """A commit's name, from what it holds."""
    text = "\n".join(f"{name} {file.etag}" for name, file in sorted(files.items()))
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
