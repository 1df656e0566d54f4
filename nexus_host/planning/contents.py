"""What a source holds, as a hash: a checkpoint counts by its content, never by its path."""

from __future__ import annotations

import os
from pathlib import Path

from nexus_specs import locate
from nexus_specs.caching import cache_folder

from ..discovery import Provider
from ..store import Remembered


class Contents:
    """Hashes of sources and of packages, remembered by path, size and time of change."""

    def __init__(self) -> None:
        self._remembered = Remembered(cache_folder() / "contents.json")

    def source(self, source: str) -> str:
        """The content of a path or a package resource; the name itself for what is not on this machine (a hub id)."""
        if "+" in source and not _path(source):
            return "+".join(self.source(part) for part in source.split("+"))
        name, mark, fragment = source.partition("#")
        whole, inner = _path(source), _path(name)
        if whole:
            return f"sha256:{self._remembered.tree(whole)}"
        return f"sha256:{self._remembered.tree(inner)}{mark}{fragment}" if inner else source

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


def _path(source: str) -> Path | None:
    """The file or folder behind a source, if it is on this machine."""
    try:
        path = locate(source)
    except (FileNotFoundError, ModuleNotFoundError):
        return None
    return path if path.exists() else None
