"""Decoders of others that towers declare: what they are to the byte, where they lie, and that none is a teacher.

A decoder is loaded from its source, whole and unchanged; no release holds one. What is known of it is a mapping:
{"name", "source", "licence", "parameters", "sha256": {file: digest}, "tensors": {hash: parameters}}, the last as
`identity` hashes tensors. Of one on a hub nothing is read, so that what is known depends on no cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from nexus_specs import Decoder, NexusError, locate, plain

from . import hub
from .files import file_hash, read_header
from .identity import file_hashes

HALF = 0.5
"""Of a teacher's parameters: what has more of them is the teacher."""
PACKAGE = "package:"


def settled(decoder: Decoder) -> dict[str, Any]:
    """What is known of a declared decoder: counted and hashed where it is a path or a package's, whose path keeps its
    last name alone. NexusError for one that is not there, not pinned, of no known size, or not what was declared."""
    if _pinned(decoder.source):
        return dict(plain(_sized(decoder, decoder.parameters)), tensors={})
    place = _local(decoder.source)
    if place is None:
        raise NexusError(
            f"The decoder '{decoder.name}' is not in '{decoder.source}'. Name a folder or file that is there, a "
            "package: resource, or what is on a hub by its commit: owner/name@COMMIT."
        )
    files = _files(place)
    digests = {name: file_hash(path) for name, path in files.items()}
    if wrong := _unlike(decoder.sha256, digests):
        raise NexusError(
            f"The decoder '{decoder.name}' in '{decoder.source}' is not the one that was declared: {', '.join(wrong)}. "
            "Fetch it again, or correct `sha256`."
        )
    weights = [path for path in files.values() if path.suffix == ".safetensors"]
    size = sum(math.prod(entry["shape"]) for path in weights for entry in read_header(path)[0].values())
    source = decoder.source if decoder.source.startswith(PACKAGE) else place.name
    known = replace(_sized(decoder, size or decoder.parameters), source=source, sha256=decoder.sha256 or digests)
    return dict(plain(known), tensors=_tensors(weights))


def counted(decoders: Iterable[Mapping[str, Any]]) -> int:
    """Parameters of decoders, of one that several towers need once."""
    return sum({(each["source"], each["name"]): int(each["parameters"]) for each in decoders}.values())


def disguised(decoders: Iterable[Mapping[str, Any]], teachers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Decoders that are a teacher, in words: they hold more than half of it, or lie in its files, which must not be
    needed. A teacher's own codec that is published apart is a decoder like any other."""
    return [
        f"decoder {each['name']} of tower {each['tower']}: {why}"
        for each in decoders
        for teacher, facts in sorted(teachers.items())
        if (why := _why_teacher(each, teacher, facts))
    ]


def altered(decoder: Mapping[str, Any], homes: Sequence[Path] = ()) -> list[str] | None:
    """Files of a decoder that are missing or changed, in words; None where it is not on this machine. One that was a
    path is looked for by its name in `homes`; of one on a hub the files that the cache holds are compared."""
    source, declared = decoder["source"], decoder["sha256"]
    known, place = _pinned(source), None
    if known:
        place = hub.snapshot_folder(known) / known.path
    elif source.startswith(PACKAGE):
        place = _local(source)
    else:
        beside = [each for home in homes for each in (home / source, home) if each.name == source]
        place = next((each for each in beside if each.exists()), None)
    if place is None or not place.exists():
        return None
    there = {name: path for name in declared if (path := _file(place, name)).is_file()}
    if known and declared and not there:
        return None
    wanted = {name: declared[name] for name in there} if known else declared
    return _unlike(wanted, {name: file_hash(path) for name, path in there.items()})


def _file(place: Path, name: str) -> Path:
    """A file of a decoder, which may be one file alone; never one outside it."""
    inner = PurePosixPath(name)
    if inner.is_absolute() or ".." in inner.parts:
        raise NexusError(f"A decoder has no file '{name}'. Take the release from where it is whole.")
    return place if place.is_file() and name == place.name else place / inner


def _sized(decoder: Decoder, size: int) -> Decoder:
    if size:
        return replace(decoder, parameters=size)
    raise NexusError(
        f"The decoder '{decoder.name}' from '{decoder.source}' has no known size: no safetensors file of it is here. "
        "Declare how many `parameters` it has."
    )


def _why_teacher(decoder: Mapping[str, Any], teacher: str, facts: Mapping[str, Any]) -> str:
    tensors = set(facts.get("tensors") or ())
    shared = sum(size for hashed, size in decoder["tensors"].items() if hashed in tensors)
    if shared > HALF * facts["parameters"]:
        return f"it holds {shared:,} of the {facts['parameters']:,} parameters of {teacher}, more than half"
    return f"it lies in the files of {teacher}" if _within(decoder["source"], str(facts.get("source", ""))) else ""


def _within(source: str, home: str) -> bool:
    """Whether a source lies in another: on a hub, in its repository. Of paths a release knows too little."""
    ours, theirs = hub.parse(source), hub.parse(home)
    if ours and theirs:
        return ours.name == theirs.name
    return home.startswith(PACKAGE) and f"{source}/".startswith(f"{home.rstrip('/')}/")


def _pinned(source: str) -> hub.HubId | None:
    """What a source names on a hub, with its commit."""
    known = hub.parse(source)
    return known if known and known.commit else None


def _local(source: str) -> Path | None:
    """Where a path or a package's resource lies, if it does."""
    try:
        path = locate(source).absolute()
    except FileNotFoundError:
        return None
    return path if path.exists() else None


def _files(place: Path) -> dict[str, Path]:
    """Relative name -> file, of a folder or of a file alone."""
    if place.is_file():
        return {place.name: place}
    paths = sorted(path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(place).as_posix(): path for path in paths}


def _tensors(weights: Iterable[Path]) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in weights:
        entries = read_header(path)[0]
        found |= {hashed: math.prod(entries[name]["shape"]) for name, hashed in file_hashes(path) if hashed}
    return found


def _unlike(declared: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: {'changed' if name in found else 'missing'}"
        for name, digest in sorted(declared.items())
        if found.get(name) != digest
    ]
