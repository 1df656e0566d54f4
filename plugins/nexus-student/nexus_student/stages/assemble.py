"""Stage "assemble": core, towers and router rows as one model. The one place that knows how a release is laid out.

model/config.json                     the student's configuration
model/core/                           the core, a Hugging Face folder with its tokenizer
model/towers/ID/                      tower.json, adapter files, own.safetensors, vocabulary/, row.json, row.safetensors
teachers.json                         what each teacher is: the release compares sizes and tensors with it
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from nexus_specs import Context, Estimate, NexusError, Profile
from nexus_torch.files import write_json
from nexus_torch.profiles import read_profile

from ..places import CORE, MODEL, TOWERS
from ..router.row import FACTS, ROW
from ..specs import tower_folder
from .sizes import size_of

TEACHERS = "teachers.json"


class Assemble:
    """Kind "stage", name "assemble"."""

    def __init__(self, **_: Any) -> None: ...

    def estimate(self, context: Context) -> Estimate:
        """Copies of small files."""
        return Estimate(seconds=2.0, how="copies files")

    def run(self, context: Context) -> None:
        """Writes model/, teachers.json and a table of sizes."""
        with context.write(MODEL) as folder:
            assemble(folder, context.inputs("core")["core"], context.inputs("train"), context.inputs("route"))
            rows = [[part, size] for part, size in sizes(folder).items()]
        with context.write(TEACHERS) as path:
            write_json(path, {name: _facts(found) for name, found in context.inputs("profile").items()})
        with context.write("table.json") as path:
            write_json(path, {"title": "Student", "columns": ["part", "parameters"], "rows": rows, "notes": []})


def assemble(folder: Path, core: Path, towers: dict[str, Path] | Any, rows: dict[str, Path] | Any) -> None:
    """Copies a core's and towers' artefacts, and the router's rows, to where a release has them."""
    from ..config import NexusConfig
    from ..cores import core_folder

    shutil.copytree(core_folder(core), folder / CORE)
    NexusConfig(core=json.loads((folder / CORE / "config.json").read_text(encoding="utf-8"))).save_pretrained(folder)
    for name in sorted(towers):
        shutil.copytree(tower_folder(towers[name]), folder / TOWERS / name)
        for file in (ROW, FACTS):
            if name in rows and (rows[name] / "row" / file).is_file():
                shutil.copyfile(rows[name] / "row" / file, folder / TOWERS / name / file)


def sizes(folder: Path) -> dict[str, int]:
    """Parameters of the parts of an assembled student, counted in its files: "core", each tower, and "student"."""
    found = {CORE: size_of(folder / CORE)}
    found |= {path.name: size_of(path) for path in sorted((folder / TOWERS).iterdir()) if path.is_dir()}
    return found | {"student": size_of(folder)}


def _facts(folder: Path) -> dict[str, Any]:
    """What a release must know of a teacher that it will never see."""
    profile: Profile = read_profile(folder)
    blueprint = profile.blueprint
    return {
        "family": blueprint.family,
        "head": blueprint.head,
        "parameters": blueprint.parameters,
        **_hashes(folder),
    }


def _hashes(folder: Path) -> dict[str, Any]:
    """Hashes of the teacher's tensors, None where its profile did not record them; how many "unknown" ones there are,
    where there are any."""
    path = folder / "tensors.json"
    if not path.is_file():
        return {"tensors": None}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        unknown = int(found.get("unknown", 0))
        return {"tensors": sorted(found["tensors"])} | ({"unknown": unknown} if unknown else {})
    except (ValueError, KeyError) as error:
        raise NexusError(f"'{path}' is damaged ({error}). Run `nexus run --stage profile` again.") from error
