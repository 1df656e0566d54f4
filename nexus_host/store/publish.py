"""Publishing: the artefact of a stage with `publishes` becomes a folder of the run directory, in one step."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, Unit

from .artefacts import Artefact, Store, read
from .atomic import read_json, replacing, write_json
from .hashes import file_hash
from .made import Made

NOTE = "published.json"


def publish(store: Store, unit: Unit, name: str) -> str:
    """Makes `DIR/name` what the artefact of a unit is. Returns a line for the user, or "" where nothing was to do.

    A folder that the run made and that was changed since is kept beside it; one that it did not make is an error.
    """
    target = store.run / name
    artefact = read(store.folder(unit))
    if artefact is None:
        raise NexusError(f"{unit.name} has no artefact to publish. Run again.")
    known = notes(store.run)
    if same(target, artefact):
        _note(store.run, known, name, artefact)
        return ""
    line = _aside(target, known.get(name))
    Made(store.run).add(name)
    with replacing(target) as folder:
        for each in artefact.files:
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artefact.folder / each, folder / each)
    _note(store.run, known, name, artefact)
    return f"{line}{target} is ready."


def _note(run: Path, known: Mapping[str, Mapping[str, Any]], name: str, artefact: Artefact) -> None:
    entry = {"stage": artefact.unit.stage, "subject": artefact.unit.subject, "fingerprint": artefact.unit.fingerprint}
    wanted = {**known, name: {**entry, "files": dict(artefact.files)}}
    if wanted != known:
        write_json(run / NOTE, wanted)


def same(target: Path, artefact: Artefact) -> bool:
    """Whether a published folder holds exactly the files of an artefact."""
    return target.is_dir() and _contents(target) == dict(artefact.files)


def _contents(folder: Path) -> dict[str, str]:
    return {each.relative_to(folder).as_posix(): file_hash(each) for each in folder.rglob("*") if each.is_file()}


def _aside(target: Path, known: Mapping[str, object] | None) -> str:
    """Moves away what somebody changed in a published folder; nothing of theirs is lost."""
    if not target.exists():
        return ""
    if known is None:
        raise NexusError(f"{target} exists and this run did not make it. Move it away, or use another --run-dir.")
    if target.is_dir() and _contents(target) == known["files"]:
        return ""
    number = next(each for each in range(1, 10_000) if not target.with_name(f"{target.name}.changed-{each}").exists())
    kept = target.with_name(f"{target.name}.changed-{number}")
    target.rename(kept)
    return f"{target} was changed since it was made; that version is kept as {kept.name}. "


def published(run: Path) -> Mapping[str, Unit]:
    """What is published now: folder name -> the unit whose artefact it is."""
    return {
        name: Unit(stage=note["stage"], subject=note["subject"], fingerprint=note["fingerprint"])
        for name, note in notes(run).items()
    }


def notes(run: Path) -> Mapping[str, Mapping[str, Any]]:
    """What was published, by folder name; notes that nobody can have written are passed over."""
    wanted = {"stage", "subject", "fingerprint", "files"}
    found = read_json(run / NOTE, {})
    return {name: note for name, note in found.items() if isinstance(note, dict) and wanted <= set(note)}
