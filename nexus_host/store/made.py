"""The manifest of what a run made in its directory, and its removal: nothing else there is ever touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from .artefacts import NOTE as ARTEFACT
from .artefacts import inside, read
from .atomic import read_json, remove, sweep, write_json

MANIFEST = "made.json"
FOLDERS = ("artefacts", "copies", "scratch", "damaged", "logs", "progress", "workers")
"""What a run directory is divided into; what it publishes stands beside them."""


class Made:
    """The paths and patterns, relative to the run directory, of what runs of it made."""

    def __init__(self, run: Path) -> None:
        self.run = run

    @property
    def paths(self) -> list[str]:
        """All of them, sorted."""
        return sorted(each for each in read_json(self.run / MANIFEST, []) if isinstance(each, str) and inside(each))

    def add(self, *paths: str) -> None:
        """Lists paths before they are made, so that a kill in between leaves nothing unlisted."""
        known = set(self.paths)
        if not known.issuperset(paths):
            write_json(self.run / MANIFEST, sorted(known | set(paths) | {MANIFEST}))

    def present(self) -> list[Path]:
        """Those that are there now."""
        return [each for path in self.paths for each in sorted(self.run.glob(path)) if each.exists()]

    def remove(self) -> list[Path]:
        """Removes what runs made and returns what is left in the directory: what somebody else put there."""
        for path in self.present():
            self._remove(path)
        sweep(self.run, FOLDERS)
        for path in sorted((each for each in self._inside() if each.is_dir()), reverse=True):
            with suppress(OSError):
                path.rmdir()
        return sorted(each for each in self._inside() if not each.is_dir())

    def prune(self, folders: Iterable[Path]) -> None:
        """Removes some artefacts, and what is left empty by it."""
        gone = set()
        for folder in folders:
            self._remove(folder)
            gone.add(folder.relative_to(self.run).as_posix())
            inside = sorted((each for each in folder.rglob("*") if each.is_dir()), reverse=True)
            for empty in (*inside, folder, *folder.parents[:2]):
                with suppress(OSError):
                    empty.rmdir()
        write_json(self.run / MANIFEST, sorted(set(self.paths) - gone))

    def _inside(self) -> Iterator[Path]:
        for name in FOLDERS:
            yield from (each for each in [self.run / name, *(self.run / name).rglob("*")] if each.exists())

    def _remove(self, path: Path) -> None:
        artefact = read(path) if path.is_dir() else None
        if artefact is None:
            remove(path)
            return
        for name in [*artefact.files, ARTEFACT]:
            remove(path / name)


def of_unit(stage: str, subject: str, fingerprint: str) -> Iterator[str]:
    """What running a unit makes in the run directory."""
    for folder in ("artefacts", "copies", "scratch", "damaged"):
        yield f"{folder}/{stage}/{subject}/{fingerprint}"
    yield f"logs/{stage}-{subject}.log"
    yield f"progress/{stage}-{subject}.json"
