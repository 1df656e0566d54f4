"""What a source names: an assembled student or a release, with or without a forced tower, or two artefacts.

"FOLDER" (the router chooses for every sample), "FOLDER#tower" (forced), "CORE+TOWER" (a core's and a tower's artefact).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from nexus_specs import NexusError, locate
from nexus_torch.hugging_face.folder import parsed

MODEL, CORE, TOWERS, TOWER = "model", "core", "towers", "tower"


@dataclass(frozen=True)
class Place:
    """Folders of a core and of towers by name; `forced` is the tower that answers whatever is asked."""

    core: Path
    towers: dict[str, Path]
    forced: str = ""
    home: Path | None = None
    """The assembled student; None for two artefacts."""


def place(source: str) -> Place | None:
    """What a source names; None if it is nothing of ours. NexusError for a tower that the student has not."""
    if "+" in source and (found := _pair(source)) is not None:
        return found
    folder, _, forced = source.partition("#")
    home = student_folder(_located(folder))
    if home is None:
        return None
    towers = {path.parent.name: path.parent for path in sorted((home / TOWERS).glob(f"*/{TOWER}.json"))}
    if forced and forced not in towers:
        raise NexusError(f"'{folder}' has no tower '{forced}'. It has: {', '.join(towers) or 'none'}.")
    return Place(home / CORE, {forced: towers[forced]} if forced else towers, forced, home)


def student_folder(folder: Path) -> Path | None:
    """The assembled student in a folder, in its `model/`, or in the `model/` of the release below it; else None."""
    for found in (folder, folder / MODEL):
        if _model_type(found) == "nexus" and (found / CORE / "config.json").is_file():
            return found
    return None


def _pair(source: str) -> Place | None:
    core, _, tower = source.partition("+")
    cores = [each for each in (_located(core) / CORE, _located(core)) if (each / "config.json").is_file()]
    towers = [each for each in (_located(tower), _located(tower) / TOWER) if (each / f"{TOWER}.json").is_file()]
    if not cores or not towers:
        return None
    name = str(json.loads((towers[0] / f"{TOWER}.json").read_text(encoding="utf-8"))["name"])
    return Place(cores[0], {name: towers[0]}, name)


def _located(source: str) -> Path:
    try:
        return locate(source).absolute()
    except FileNotFoundError:
        return Path(source)


def _model_type(folder: Path) -> str:
    try:
        return str(parsed(folder / "config.json").get("model_type", ""))
    except NexusError:
        return ""
