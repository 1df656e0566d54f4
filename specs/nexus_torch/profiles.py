"""A teacher's profile as a folder: `profile.json`, `bases.safetensors`, `preprocessor/`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from nexus_specs import Basis, NexusError, Profile, plain, record

from . import bases as _bases
from .files import write_json

PROFILE, BASES, PREPROCESSOR = "profile.json", "bases.safetensors", "preprocessor"
"""Names inside the folder."""

SCHEMA = "nexus.niwt/1"


def write_profile(profile: Profile, path: Path) -> None:
    """Writes a profile to a folder, or to the file `path` if it ends in .json; `home` is left out."""
    path = path if path.suffix == ".json" else path / PROFILE
    written = plain(dataclasses.replace(profile, home=""))
    write_json(path, {"schema": SCHEMA} | {name: value for name, value in written.items() if name != "home"})


def read_profile(folder: Path) -> Profile:
    """The profile of a folder, with `home` set to it.

    >>> profile = read_profile(context.inputs("profile")["prose"])      # doctest: +SKIP
    >>> read_bases(profile)["model.layers.2"].directions.shape          # doctest: +SKIP
    torch.Size([192, 48])
    """
    path = folder / PROFILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NexusError(f"'{path}' is not a readable profile ({error}). Run `nexus run --stage profile`.") from error
    if data.get("schema") != SCHEMA:
        raise NexusError(f"'{path}' has the schema {data.get('schema')!r}; this version reads '{SCHEMA}'.")
    profile: Profile = record(Profile, data)
    return dataclasses.replace(profile, home=str(folder))


def write_bases(bases: Mapping[str, Basis], path: Path) -> dict[str, str]:
    """Writes bases to the file `path` (or to `bases.safetensors` of that folder); returns what belongs into
    `Profile.bases`."""
    return _bases.write_bases(bases, path if path.suffix == ".safetensors" else path / BASES)


def read_bases(profile: Profile) -> dict[str, Basis]:
    """The bases of a profile that was read, by module path; float32."""
    return _bases.read_bases(Path(profile.home), profile.bases)


def preprocessor(profile: Profile) -> Path:
    """The folder with the teacher's tokenizer or processor files (and its config.json)."""
    return Path(profile.home) / (profile.preprocessor or PREPROCESSOR)
