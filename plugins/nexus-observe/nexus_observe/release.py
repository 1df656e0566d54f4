"""What a release says of itself: `manifest.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_specs import Choice, NexusError
from nexus_torch.files import file_hash
from nexus_torch.identity import file_hashes

MANIFEST, SCHEMA = "manifest.json", "nexus.release/1"


@dataclass(frozen=True, kw_only=True)
class Capability:
    """One capability as the manifest records it."""

    name: str
    tower: str
    teacher: str
    metric: Choice
    data: Choice
    floor: float
    teacher_score: float
    student_score: float
    forced_score: float
    teacher_knows: bool = True
    """False where its retention is recorded as undefined: the teacher is no better than the floor."""
    items: int = 0
    """Held-out items that were judged: the first ones; 0: all of them."""
    data_hash: str = ""
    """The reader's fingerprint of the held-out part; empty: not recorded."""


def read_manifest(release: Path) -> dict[str, Any]:
    """The manifest. NexusError where there is none that this version reads."""
    path = release / MANIFEST
    if not release.is_dir():
        raise NexusError(f"There is no folder '{release}'. `nexus run` writes a release to nexus-run/release.")
    try:
        if path.exists() and not path.is_file():            # a pipe would be waited for
            raise ValueError("it is no file")
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NexusError(
            f"'{release}' is not a release: {MANIFEST} is missing or damaged ({error}). "
            "`nexus run` writes one to nexus-run/release."
        ) from error
    said = manifest.get("schema") if isinstance(manifest, dict) else None
    if said != SCHEMA:
        raise NexusError(f"'{path}' has the schema {said!r}; this version reads '{SCHEMA}'.")
    try:
        _parts(manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NexusError(
            f"'{path}' is no whole manifest ({type(error).__name__}: {error}). Take the release from where it is whole."
        ) from error
    return manifest


def _parts(manifest: Mapping[str, Any]) -> list[Any]:
    """What a verification reads of a manifest, so that what lacks shows at once."""
    sizes, facts = manifest["parameters"], manifest["teachers"]
    known = [facts[each.teacher]["parameters"] for each in capabilities(manifest)]
    others = [each[name] for each in decoders(manifest) for name in ("name", "tower", "source", "parameters")]
    others += [item for each in decoders(manifest) for name in ("sha256", "tensors") for item in each[name].items()]
    return [*known, *others, *facts.items(), *manifest["files"].items(), *sizes["towers"].items(), sizes["student"]]


def capabilities(manifest: Mapping[str, Any]) -> list[Capability]:
    """The capabilities, in the manifest's order."""
    return [_capability(entry) for entry in manifest["capabilities"]]


def decoders(manifest: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Decoders of others that its towers need; () of a release that is older than they are."""
    found: Sequence[Mapping[str, Any]] = manifest.get("decoders", ())
    return found


def damaged(release: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Files that are missing, changed or not listed."""
    listed: Mapping[str, str] = manifest["files"]
    wrong = [
        f"{name}: {'changed' if (release / name).is_file() else 'missing'}"
        for name, expected in sorted(listed.items())
        if not (release / name).is_file() or file_hash(release / name) != expected
    ]
    there = {path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()}
    return wrong + [f"{name}: not in the manifest" for name in sorted(there - set(listed) - {MANIFEST})]


def copied_tensors(release: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Tensors of the release whose values are a teacher's, or those of a decoder that it says is loaded from elsewhere:
    what is a decoder's is said to be that, be it a teacher's too."""
    known = {
        hashed: teacher
        for teacher, facts in sorted(manifest["teachers"].items())
        for hashed in facts.get("tensors") or ()
    }
    known |= {hashed: f"the decoder {each['name']}" for each in decoders(manifest) for hashed in each["tensors"]}
    return [
        f"{name} of {path.relative_to(release).as_posix()} is a tensor of {known[hashed]}"
        for path in sorted(release.rglob("*.safetensors"))
        for name, hashed in file_hashes(path)
        if hashed and hashed in known
    ]


def _number(recorded: float | None) -> float:
    """A score that is no number is recorded as null."""
    return math.nan if recorded is None else float(recorded)


def _capability(entry: Mapping[str, Any]) -> Capability:
    data = entry["data"]
    return Capability(
        name=entry["name"],
        tower=entry["tower"],
        teacher=entry["teacher"],
        metric=Choice(kind="metric", name=entry["metric"], options=entry.get("metric_options") or {}),
        data=Choice(kind="reader", name=data["name"], options=data.get("options") or {}),
        floor=_number(entry["floor"]),
        teacher_score=_number(entry["teacher_score"]),
        student_score=_number(entry["student_score"]),
        forced_score=_number(entry["forced_score"]),
        teacher_knows=entry.get("retention", 0.0) is not None,
        items=int(entry.get("items", 0)),
        data_hash=str(data.get("hash", "")),
    )
