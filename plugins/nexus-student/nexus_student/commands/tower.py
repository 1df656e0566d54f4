"""`nexus tower add|remove|list RELEASE`: towers come and go; the files of all others stay what they are, to the bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_specs import Lookup, NexusError, locate
from nexus_torch.decoders import counted, disguised

from ..options import TowerOptions
from ..places import MODEL, TOWERS, student_folder
from ..specs import TOWER, TowerSpec, read_spec, tower_folder
from ..stages.assemble import sizes
from ..stages.contract import HALF
from ..stages.decoders import needed
from ..stages.manifest import read_manifest, write_manifest
from ..stages.release import memory


class TowerCommand:
    """Kind "command", name "tower"."""

    def __init__(self, **options: Any) -> None:
        self.options = TowerOptions(**options)

    def __call__(self, lookup: Lookup) -> int:
        """0; NexusError for what cannot be done."""
        release, source = Path(self.options.release), self.options.source
        if self.options.action == "list":
            print(listed(release, json_=self.options.json))
        elif not source:
            what = "the folder of a tower, or RELEASE#TOWER" if self.options.action == "add" else "the tower's name"
            raise NexusError(f"Say {what}: `nexus tower {self.options.action} {release} …`.")
        elif self.options.action == "add":
            print(f"Added {add(release, source, lookup)}. Score it with `nexus evaluate {release}`.")
        else:
            remove(release, source)
            print(f"Removed {source}.")
        return 0


def listed(release: Path, *, json_: bool = False) -> str:
    """The towers of a release."""
    manifest = read_manifest(release)
    rows = [_facts(path.parent, manifest) for path in sorted((_model(release) / TOWERS).glob(f"*/{TOWER}"))]
    if json_:
        return json.dumps(rows)
    return "\n".join(_line(row) for row in rows)


def _line(row: Mapping[str, Any]) -> str:
    what = f"takes {row['takes']}, gives {row['gives']}, {row['parameters']:,} parameters"
    needs = "".join(f", needs {each['name']} ({each['source']})" for each in row["decoders"])
    return f"{row['name']:16} {row['component']:10} {what}{needs}"


def _facts(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    spec = read_spec(folder)
    return {
        "name": spec.name,
        "component": spec.component,
        "takes": ", ".join(spec.takes),
        "gives": ", ".join(spec.gives),
        "teachers": list(spec.teachers),
        "parameters": manifest["parameters"]["towers"].get(folder.name, 0),
        "decoders": [_told(each) for each in spec.decoders],
    }


def _told(decoder: Mapping[str, Any]) -> dict[str, Any]:
    return {name: decoder[name] for name in ("name", "source", "licence", "parameters")}


def add(release: Path, source: str, lookup: Lookup) -> str:
    """Adds a tower: a folder that training wrote, or one of another release ("RELEASE#TOWER"); returns its name."""
    manifest, model = read_manifest(release), _model(release)
    folder, other = _source(source)
    spec = read_spec(folder)
    target = model / TOWERS / spec.name
    if target.exists():
        raise NexusError(f"'{release}' has a tower '{spec.name}' already. Remove it first: `nexus tower remove`.")
    _check_core(spec, model)
    from ..folders import open_tower
    from ..model import NexusModel

    open_tower(folder, NexusModel.from_pretrained(model, lookup=lookup), lookup)
    waiting = target.with_name(f".{spec.name}.part")
    shutil.rmtree(waiting, ignore_errors=True)
    shutil.copytree(folder, waiting)
    waiting.rename(target)
    _take_over(manifest, other, spec.name)
    try:
        _written(release, manifest)
    except NexusError:
        shutil.rmtree(target)
        raise
    return spec.name


def remove(release: Path, name: str) -> None:
    """Removes a tower and what the manifest says of it."""
    manifest, folder = read_manifest(release), _tower(release, name)
    manifest["capabilities"] = [each for each in manifest["capabilities"] if each["tower"] != name]
    left = {each["teacher"] for each in manifest["capabilities"]}
    manifest["teachers"] = {teacher: facts for teacher, facts in manifest["teachers"].items() if teacher in left}
    shutil.rmtree(folder)
    _written(release, manifest, check=False)


def _written(release: Path, manifest: dict[str, Any], *, check: bool = True) -> None:
    """Counts again, checks the sizes, and writes table, model card and manifest."""
    model = _model(release)
    parts = sizes(model)
    towers = {name: size for name, size in parts.items() if name not in ("student", "core")}
    teachers = sum(int(facts["parameters"]) for facts in manifest["teachers"].values())
    for found in manifest["capabilities"] if check else ():
        allowed = HALF * manifest["teachers"][found["teacher"]]["parameters"]
        if towers[found["tower"]] > allowed:
            raise NexusError(f"The tower '{found['tower']}' has more than half of its teacher's parameters.")
    manifest["decoders"] = needed(model)
    if check and (wrong := disguised(manifest["decoders"], manifest["teachers"])):
        raise NexusError(f"The {wrong[0]}.")
    manifest["parameters"] = {
        "student": parts["student"],
        "teachers": teachers,
        "towers": towers,
        "core": parts["core"],
        "decoders": counted(manifest["decoders"]),
    }
    manifest["memory"] = memory(model)
    write_manifest(release, manifest)


def _take_over(manifest: dict[str, Any], other: Mapping[str, Any] | None, name: str) -> None:
    """What another release says of a tower: its capabilities and teachers."""
    for found in other["capabilities"] if other else ():
        if found["tower"] == name:
            manifest["capabilities"].append(found)
            manifest["teachers"].setdefault(found["teacher"], other["teachers"][found["teacher"]])  # type: ignore[index]


def _source(source: str) -> tuple[Path, Mapping[str, Any] | None]:
    """A tower's folder, and the manifest of the release it is from."""
    path, _, name = source.partition("#")
    if not name:
        return tower_folder(locate(path)), None
    return _tower(Path(path), name), read_manifest(Path(path))


def _tower(release: Path, name: str) -> Path:
    """The folder of a tower of a release."""
    towers = _model(release) / TOWERS
    there = sorted(path.parent.name for path in towers.glob(f"*/{TOWER}"))
    if name not in there:
        raise NexusError(f"'{release}' has no tower '{name}'. It has: {', '.join(there) or 'none'}.")
    return towers / name


def _check_core(spec: TowerSpec, model: Path) -> None:
    from ..cores import core_hash

    if spec.core and spec.core != core_hash(model / "core"):
        raise NexusError(
            f"The tower '{spec.name}' was trained with another core than this release has, and would answer nonsense. "
            "Train it with this core: set student.core to it."
        )


def _model(release: Path) -> Path:
    found = student_folder(release)
    if found is None:
        raise NexusError(f"'{release}' is no release: it has no {MODEL}/ with a core. `nexus run` makes one.")
    return found
