"""What suits a checkpoint: the tower by what it takes and gives, the reader by the files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from nexus_specs import Blueprint, NexusError, ReaderComponent, TowerComponent, locate

from ..discovery import Plugins
from ..words import listed

LOOKED_AT = 1000
"""Files of a folder whose endings decide its reader."""


def towers_for(blueprint: Blueprint, plugins: Plugins) -> list[str]:
    """Names of the installed towers that take what a checkpoint takes, and give something that it gives."""
    return [
        name
        for name, tower in plugins.components("tower").items()
        if isinstance(tower, TowerComponent)
        and set(tower.takes) == set(blueprint.takes)
        and set(tower.gives) & set(blueprint.gives)
    ]


def tower_for(blueprint: Blueprint, plugins: Plugins, wanted: str = "") -> str:
    """The one tower that suits a checkpoint, or the one that is wanted. Raises NexusError for none and for several."""
    found = towers_for(blueprint, plugins)
    if wanted:
        plugins.component("tower", wanted)
        found = [wanted]
    takes = f"It takes {listed(blueprint.takes)} and gives {listed(blueprint.gives)}"
    if not found:
        offered = [
            f"{name} ({listed(tower.takes)} -> {listed(tower.gives)})"
            for name, tower in plugins.components("tower").items()
            if isinstance(tower, TowerComponent)
        ]
        raise NexusError(f"No tower suits this checkpoint. {takes}. Installed: {listed(offered)}.")
    if len(found) > 1:
        raise NexusError(f"{len(found)} towers suit this checkpoint: {listed(found)}. Choose with --tower NAME.")
    return found[0]


def reader_for(source: str, plugins: Plugins) -> str:
    """The reader of a file by its ending, of a folder by the commonest ending in it. Raises NexusError."""
    readers = {
        suffix: name
        for name, reader in plugins.components("reader").items()
        if isinstance(reader, ReaderComponent)
        for suffix in reader.suffixes
    }
    path = locate(source)
    if not path.exists():
        raise NexusError(f"--data {source}: there is no such file or folder.")
    suffixes = Counter(file.suffix.lower() for file in _files(path))
    known = [suffix for suffix, _ in suffixes.most_common() if suffix in readers]
    if not known:
        raise NexusError(
            f"--data {source}: no reader is installed for {listed(suffixes)}. Readers know: {listed(sorted(readers))}."
        )
    return readers[known[0]]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for _, file in zip(range(LOOKED_AT), sorted(path.rglob("*")), strict=False) if file.is_file()]
