"""Stage "release": the assembled student with its manifest, its model card and the table, if the contract holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nexus_specs import Context, Estimate, NexusError, Verdict, plain, record
from nexus_torch.decoders import counted, disguised

from ..options import ReleaseOptions
from ..places import CORE, MODEL
from .assemble import TEACHERS, sizes
from .contract import Promise, broken, capability, number
from .decoders import held, needed
from .manifest import SCHEMA, write_manifest
from .sizes import bytes_of, copies

CARD_FIELDS = ("source", "revision", "trust", "licence", "summary", "datasets")
"""What is told of a teacher's card."""
SMALLER = (
    "\nMake the student smaller (student.options layers, width, intermediate; a tower's rank, share), or give it more "
    "teachers. No switch releases one that is too large."
)


class Release:
    """Kind "stage", name "release"."""

    def __init__(self, **options: Any) -> None:
        self.options = ReleaseOptions(**options)

    def estimate(self, context: Context) -> Estimate:
        """Copies of small files."""
        return Estimate(seconds=2.0, how="copies and hashes files")

    def run(self, context: Context) -> None:
        """Writes the release. NexusError for a broken contract, unless that was allowed."""
        made = context.inputs("assemble")["student"]
        teachers = _teachers(context, made)
        order = list(context.teachers)
        verdicts = sorted(_verdicts(context.inputs("evaluate")["student"]), key=lambda each: order.index(each.teacher))
        parts = sizes(made / MODEL)
        promises = [_promise(context, verdict, parts, teachers) for verdict in verdicts]
        self._judge(promises, made / MODEL, parts["student"], teachers)
        write(context, made / MODEL, promises, parts, teachers)

    def _judge(self, promises: Sequence[Promise], model: Path, whole: int, teachers: Mapping[str, Any]) -> None:
        hashes = frozenset(each for found in teachers.values() for each in found["tensors"] or ())
        others = needed(model)
        found = broken(promises, whole, _sum(teachers), list(copies(model, hashes)), counted(others))
        refused = [*found["sizes"], *found["tensors"], *disguised(others, teachers), *held(model, others)]
        refused += [] if self.options.allow_below else found["capabilities"]
        if refused:
            below = "" if self.options.allow_below or not found["capabilities"] else _hint(promises)
            hint = below + (SMALLER if found["sizes"] else "")
            raise NexusError(
                "The student is not released, since it breaks its contract:\n  " + "\n  ".join(refused) + hint
            )


def _hint(promises: Sequence[Promise]) -> str:
    names = ", ".join(each.verdict.capability for each in promises if not each.passed)
    return (
        f"\nTrain {names} longer, give its tower more (options rank, depth, share), or ask for less (share). "
        "`nexus run --allow-below` releases it as it is, and says so in the manifest."
    )


def write(
    context: Context, model: Path, promises: Sequence[Promise], parts: Mapping[str, int], teachers: Mapping[str, Any]
) -> None:
    """Writes all files of a release; the manifest, with the hashes of the others, comes last."""
    others = needed(model)
    manifest = {
        "schema": SCHEMA,
        "capabilities": [capability(each) for each in promises],
        "parameters": {
            "student": parts["student"],
            "teachers": _sum(teachers),
            "towers": {name: size for name, size in parts.items() if name not in ("student", CORE)},
            "core": parts[CORE],
            "decoders": counted(others),
        },
        "decoders": others,
        "memory": memory(model),
        "teachers": teachers,
        "plugins": dict(sorted(context.versions.items())),
    }
    with TemporaryDirectory() as place:
        write_release(Path(place), model, manifest)
        for path in sorted(Path(place).iterdir()):
            with context.write(path.name) as target:
                shutil.move(path, target)


def write_release(folder: Path, model: Path, manifest: Mapping[str, Any]) -> None:
    """Puts a release together in an empty folder."""
    shutil.copytree(model, folder / MODEL)
    write_manifest(folder, manifest)


def memory(model: Path) -> dict[str, int]:
    """Bytes of weights: "core" always, "largest_tower" while it answers, "all" if every tower were loaded."""
    towers = [bytes_of(path) for path in sorted((model / "towers").iterdir())] if (model / "towers").is_dir() else []
    core = bytes_of(model / "core")
    return {"core": core, "largest_tower": max(towers, default=0), "all": core + sum(towers)}


def _verdicts(folder: Path) -> list[Verdict]:
    data = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
    return [record(Verdict, each) for each in data["capabilities"]]


def _teachers(context: Context, made: Path) -> dict[str, Any]:
    """What `assemble` kept of each teacher, with what its card says of where it comes from."""
    facts = json.loads((made / TEACHERS).read_text(encoding="utf-8"))
    return {name: facts[name] | _told(context.teachers.get(name, {})) for name in sorted(facts)}


def _told(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of a teacher; of a path on this machine the name alone."""
    told = {field: plain(card[field]) for field in CARD_FIELDS if card.get(field)}
    if "source" in told and ":" not in told["source"]:
        told["source"] = "+".join(_shown(part) for part in told["source"].split("+"))
    return told


def _shown(source: str) -> str:
    """The name of a path; a name on a hub as it is."""
    return Path(source).name if Path(source).is_absolute() else source


def _promise(context: Context, verdict: Verdict, parts: Mapping[str, int], teachers: Mapping[str, Any]) -> Promise:
    own = context.teachers[verdict.teacher]
    tier = own.get("tier") or context.card.get("tier") or 1
    return Promise(
        verdict=verdict,
        share=number(own.get("share")) or 0.95,
        tier=int(tier),
        tower_size=parts[verdict.tower],
        teacher_size=int(teachers[verdict.teacher]["parameters"]),
    )


def _sum(teachers: Mapping[str, Any]) -> int:
    return sum(int(facts["parameters"]) for facts in teachers.values())
