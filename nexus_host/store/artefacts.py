"""Artefacts: one folder for each unit and fingerprint, with the hash of every file, verified before use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, Unit, plain

from .atomic import (
    MARK,
    json_bytes,
    move,
    read_json,
    remove,
    replacing,
    sync_folder,
    sync_tree,
    temporary_name,
    write_json,
)
from .hashes import file_hash, text_hash

NOTE = "artefact.json"
SCHEMA = "nexus.artefact/1"
ARTEFACTS, COPIES, DAMAGED, SCRATCH = "artefacts", "copies", "damaged", "scratch"
SMALL = 64 << 20
"""Bytes of an artefact of which a copy is kept: what is larger (shards) is made again where it is damaged."""


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """What `artefact.json` says. No times in it: equal work gives equal bytes."""

    folder: Path
    unit: Unit
    facts: Mapping[str, Any]
    files: Mapping[str, str]
    """Path within the folder -> SHA-256."""


class Store:
    """The artefacts of a run directory."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def folder(self, unit: Unit) -> Path:
        """Where the artefact of a unit is or will be."""
        return self.run / ARTEFACTS / unit.stage / unit.subject / unit.fingerprint

    def copy(self, unit: Unit) -> Path:
        """Where a copy of its artefact is kept, if it is small."""
        return self.run / COPIES / unit.stage / unit.subject / unit.fingerprint

    def scratch(self, unit: Unit) -> Path:
        """Where a unit keeps what survives a kill of it."""
        return self.run / SCRATCH / unit.stage / unit.subject / unit.fingerprint

    def versions(self, stage: str, subject: str) -> list[Artefact]:
        """Every readable artefact of a stage for a subject, whatever its fingerprint."""
        parent = self.run / ARTEFACTS / stage / subject
        folders = sorted(parent.iterdir()) if parent.is_dir() else []
        found = (read(folder) for folder in folders if not folder.name.startswith(MARK))
        return [artefact for artefact in found if artefact]

    def every(self) -> list[Artefact]:
        """Every readable artefact of the run directory."""
        return [each for stage, subject in self._subjects() for each in self.versions(stage, subject)]

    def _subjects(self) -> Iterator[tuple[str, str]]:
        for folder in sorted((self.run / ARTEFACTS).glob("*/*/")):
            yield folder.parent.name, folder.name

    def damage(self, unit: Unit) -> str | None:
        """What is wrong with the artefact of a unit: None if there is none, "" if it is intact."""
        folder = self.folder(unit)
        return damage(folder) if folder.exists() else None

    def staging(self, unit: Unit) -> Path:
        """A fresh folder to make the artefact in; `commit` puts it in its place."""
        folder = temporary_name(self.folder(unit))
        remove(folder)
        folder.mkdir(parents=True)
        return folder

    def commit(self, unit: Unit, staging: Path, facts: Mapping[str, Any], versions: Mapping[str, str]) -> Path:
        """Flushes and hashes what was made, writes its note, and gives it its name in one step."""
        sync_tree(staging)
        files = {each.relative_to(staging).as_posix(): each for each in sorted(staging.rglob("*")) if each.is_file()}
        if NOTE in files:
            raise NexusError(f"{unit.name} wrote a file named {NOTE}, which is the host's. Choose another name.")
        hashes = {name: file_hash(path) for name, path in files.items()}
        body = {"schema": SCHEMA, "unit": plain(unit), "facts": facts, "files": hashes, "versions": versions}
        write_json(staging / NOTE, body | {"digest": _digest(body)})
        folder = self.folder(unit)
        move(staging, folder)
        sync_folder(folder.parent)
        self._keep(unit, sum((folder / name).stat().st_size for name in hashes))
        return folder

    def _keep(self, unit: Unit, size: int) -> None:
        """Keeps a copy of a small artefact, if the disk has room; one that was cut short is found by its hashes."""
        if size <= SMALL:
            with suppress(OSError), replacing(self.copy(unit), durable=False) as copy:
                shutil.copytree(self.folder(unit), copy)

    def quarantine(self, unit: Unit) -> Path:
        """Takes a damaged artefact out of the way, keeping its latest version for whoever wants to look."""
        kept = self.run / DAMAGED / unit.stage / unit.subject / unit.fingerprint
        kept.parent.mkdir(parents=True, exist_ok=True)
        remove(kept)
        shutil.move(self.folder(unit), kept)
        return kept

    def bring_back(self, unit: Unit) -> bool:
        """Puts the copy of a damaged artefact in its place; False where there is none that is intact."""
        copy = self.copy(unit)
        return copy.is_dir() and not damage(copy) and self.restore(unit, read_json(copy / NOTE, {}), copy)

    def restore(self, unit: Unit, note: Mapping[str, Any], copy: Path) -> bool:
        """Brings an artefact back from an intact copy of its files, such as what it was published as."""
        hashes: Mapping[str, str] = note["files"]
        if any(not (copy / name).is_file() or file_hash(copy / name) != value for name, value in hashes.items()):
            return False
        staging = self.staging(unit)
        for name in hashes:
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(copy / name, staging / name)
        self.commit(unit, staging, note["facts"], note["versions"])
        return True


def read(folder: Path) -> Artefact | None:
    """An artefact by its note, or None where the folder holds none that can be read. Its files are not verified."""
    note = read_json(folder / NOTE, {})
    if note.get("schema") != SCHEMA:
        return None
    try:
        found = Artefact(folder=folder, unit=Unit(**note["unit"]), facts=dict(note["facts"]), files=dict(note["files"]))
    except (KeyError, TypeError, ValueError):
        return None
    return found if all(map(inside, found.files)) else None


def inside(name: str) -> bool:
    """Whether a path that a note names stays in the folder that it counts from."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def damage(folder: Path) -> str:
    """What is wrong with an artefact: missing, added or changed files, or a note that is not what was written."""
    note = read_json(folder / NOTE, {})
    if "files" not in note:
        return f"{NOTE} is missing or cannot be read"
    whole = (folder / NOTE).read_bytes() == json_bytes(note)
    if not whole or note.get("digest") != _digest({key: value for key, value in note.items() if key != "digest"}):
        return f"{NOTE} is not what was written"
    present = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()} - {NOTE}
    return next(_differences(folder, note["files"], present), "")


def _differences(folder: Path, files: Mapping[str, str], present: set[str]) -> Iterator[str]:
    for name in sorted(set(files) - present):
        yield f"{name} is missing"
    for name in sorted(present - set(files)):
        yield f"{name} was added"
    for name in sorted(present & set(files)):
        if file_hash(folder / name) != files[name]:
            yield f"hash of {name} differs"


def verified(folder: Path) -> Path:
    """The folder of an artefact, once every file in it has been found to be what was written. Raises NexusError."""
    if found := damage(folder):
        raise NexusError(f"The artefact {folder} is damaged: {found}. Run again: it is set aside and rebuilt.")
    return folder


def _digest(body: Mapping[str, Any]) -> str:
    return text_hash(json.dumps(body, sort_keys=True))
