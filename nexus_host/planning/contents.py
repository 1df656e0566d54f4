"""What a source holds, as a hash: a checkpoint counts by its content, never by its path."""

from __future__ import annotations

import os
from pathlib import Path

from nexus_specs import locate

from ..discovery import Provider
from ..store import Remembered

CACHE = "NEXUS_CACHE"
"""Environment variable: the folder for hashes that were computed before."""


class Contents:
    """Hashes of sources and of packages, remembered by path, size and time of change."""

    def __init__(self) -> None:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = Path(os.environ.get(CACHE) or f"{home}/nexus").expanduser()
        self._remembered = Remembered(folder / "hashes.json")

    def source(self, source: str) -> str:
        """The content of a path or a package resource; the name itself for what is not on this machine (a hub id)."""
        parts = [self._part(part) for part in source.split("+")]
        return "+".join(parts)

    def _part(self, source: str) -> str:
        try:
            path = locate(source)
            return f"sha256:{self._remembered.tree(path)}" if path.exists() else source
        except (FileNotFoundError, ModuleNotFoundError):
            return source

    def bytes(self, source: str) -> int:
        """How many bytes a source has on this machine; 0 where it is not here."""
        try:
            path = locate(source)
        except (FileNotFoundError, ModuleNotFoundError):
            return 0
        files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
        return sum(each.stat().st_size for each in files)

    def version(self, provider: Provider) -> str:
        """The version of a distribution, with the hash of its source where it is installed editable."""
        version = f"{provider.distribution} {provider.version}"
        if not provider.editable or not provider.files:
            return version
        top = Path(os.path.commonpath([each.parent for each in provider.files]))
        digest = self._remembered.files({each.relative_to(top).as_posix(): each for each in provider.files})
        return f"{version} (source {digest[:12]})"

    def save(self) -> None:
        """Keeps the hashes for the next run."""
        self._remembered.save()
