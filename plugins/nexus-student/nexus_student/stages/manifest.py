"""A release's manifest, and the table and model card that follow from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nexus_specs import NexusError
from nexus_torch.files import write_bytes, write_json

from .card import card
from .contract import percent
from .sizes import files_of

SCHEMA = "nexus.release/1"
MANIFEST, TABLE, CARD = "manifest.json", "table.json", "README.md"
SECTIONS: Mapping[str, type] = {
    "capabilities": list, "parameters": dict, "memory": dict, "teachers": dict, "plugins": dict, "files": dict,
}  # fmt: skip
SCORES = (
    "name", "tower", "teacher", "teacher_score", "student_score", "forced_score", "control_score", "floor", "retention",
    "retention_low", "retention_high", "gap_closed", "share", "passed",
)  # fmt: skip
"""What the table reads of a capability."""
COLUMNS = ["capability", "teacher", "student", "control", "floor", "retention", "gap closed", "parameters", "result"]


def read_manifest(release: Path) -> dict[str, Any]:
    """The manifest of a release. NexusError where there is none."""
    path = release / MANIFEST
    if not path.is_file():
        what = f"there is no {MANIFEST} in it" if release.is_dir() else "there is no such folder"
        raise NexusError(f"'{release}' is no release: {what}. Name a release's folder; `nexus run` makes one.")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NexusError(f"'{path}' is not readable ({error}). Take the release from where it is whole.") from error
    if not isinstance(manifest, dict):
        raise NexusError(f"'{path}' holds a {type(manifest).__name__}. Take the release from where it is whole.")
    if manifest.get("schema") != SCHEMA:
        raise NexusError(f"'{path}' has the schema {manifest.get('schema')!r}; this version reads '{SCHEMA}'.")
    if lacking := _lacking(manifest):
        raise NexusError(f"'{path}' lacks {', '.join(lacking)}. Take the release from where it is whole.")
    return manifest


def _lacking(manifest: Mapping[str, Any]) -> list[str]:
    """What a manifest does not have that is read of it."""
    wrong = [name for name, kind in SECTIONS.items() if not isinstance(manifest.get(name), kind)]
    if wrong:
        return wrong
    found = [f"parameters.{name}" for name in ("student", "teachers", "towers") if name not in manifest["parameters"]]
    for index, each in enumerate(manifest["capabilities"]):
        names = SCORES if isinstance(each, dict) else ("name",)
        found += [f"capabilities.{index}.{name}" for name in names if not isinstance(each, dict) or name not in each]
        if isinstance(each, dict) and each.get("teacher") not in manifest["teachers"]:
            found.append(f"teachers.{each.get('teacher')}")
    return found + [
        f"teachers.{name}.parameters"
        for name, facts in manifest["teachers"].items()
        if not isinstance(facts, dict) or not isinstance(facts.get("parameters"), int)
    ]


def write_texts(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Writes the table and the model card."""
    shown = table(manifest)
    write_json(folder / TABLE, shown)
    write_bytes(folder / CARD, card(manifest, shown).encode())


def write_manifest(release: Path, manifest: Mapping[str, Any]) -> None:
    """Writes table, model card, and the manifest with the hashes of all other files, last."""
    write_texts(release, manifest)
    files = {path: found for path, found in files_of(release).items() if path != MANIFEST}
    write_json(release / MANIFEST, {**manifest, "files": files})


def table(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The table that a run ends with."""
    capabilities, sizes = manifest["capabilities"], manifest["parameters"]
    forced = "; ".join(f"{each['name']} {_score(each['forced_score'])}" for each in capabilities)
    share = percent(sizes["student"] / max(1, sizes["teachers"]))
    notes = [
        f"Parameters of the whole student: {sizes['student']:,}, of all teachers: {sizes['teachers']:,} ({share})."
    ]
    if decoders := manifest.get("decoders"):
        notes.append(_decoders(decoders, sizes))
    if forced:
        notes.append(f"Student with the tower forced: {forced}.")
    below = [each["name"] for each in capabilities if not each["passed"]]
    if below:
        notes.append(f"Below the share that was asked for: {', '.join(below)}.")
    unknown = sorted(name for name, facts in manifest["teachers"].items() if facts["tensors"] is None)
    if unknown:
        notes.append(f"Tensors were not compared with those of {', '.join(unknown)}: no hashes were recorded.")
    unseen = {name: facts["unknown"] for name, facts in sorted(manifest["teachers"].items()) if facts.get("unknown")}
    if unseen:
        told = ", ".join(f"{count} of {name}" for name, count in unseen.items())
        notes.append(f"Tensors with which nothing was compared, since their values were never seen: {told}.")
    unscored = sorted(sizes["towers"].keys() - {each["tower"] for each in capabilities})
    if unscored:
        notes.append(f"Towers that were added and not scored: {', '.join(unscored)}.")
    rows = [_row(each, manifest) for each in capabilities]
    return {"title": "What the student kept", "columns": COLUMNS, "rows": rows, "notes": notes}


def _decoders(decoders: Sequence[Mapping[str, Any]], sizes: Mapping[str, Any]) -> str:
    """What answers go through that is in no release, and what it adds to its size."""
    told = ", ".join(f"{each['name']} of {each['tower']} ({each['parameters']:,} parameters)" for each in decoders)
    whole = sizes["student"] + sizes["decoders"]
    share = percent(whole / max(1, sizes["teachers"]))
    return f"Decoders of others, which are loaded beside it: {told}; with them {whole:,} parameters ({share})."


def _row(found: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    own, teacher = (
        manifest["parameters"]["towers"][found["tower"]],
        manifest["teachers"][found["teacher"]]["parameters"],
    )
    gap = found["gap_closed"]
    return [
        found["name"],
        *(_score(found[name]) for name in ("teacher_score", "student_score", "control_score", "floor")),
        f"{percent(found['retention'])} [{percent(found['retention_low'])}, {percent(found['retention_high'])}]",
        "not judged" if gap is None else percent(gap),
        f"{own:,} of {teacher:,}",
        "pass" if found["passed"] else f"FAIL (< {percent(found['share'])})",
    ]


def _score(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
