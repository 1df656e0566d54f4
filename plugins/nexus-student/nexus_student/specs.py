"""What a tower is, apart from its weights: `tower.json`. Imports nothing heavy: the router reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus_specs import Adapter, NexusError, record

TOWER = "tower.json"
SCHEMA = "nexus.tower/1"


@dataclass(frozen=True, kw_only=True)
class TowerSpec:
    """What a tower is, apart from its weights: `tower.json`."""

    name: str
    component: str
    """Name of the kind "tower" component that makes its own modules again, from `config`."""
    config: Mapping[str, Any] = field(default_factory=dict)
    adapter: Adapter
    alpha: float = 2.0
    takes: tuple[str, ...] = ("text",)
    gives: tuple[str, ...] = ("text",)
    labels: tuple[str, ...] = ()
    words: int = 0
    """Size of its own vocabulary; 0: it has the core's."""
    tokenizer: str = ""
    """Hash of its tokenizer."""
    teachers: tuple[str, ...] = ()
    core: str = ""
    """Hash of the core that it was trained with, and fits alone."""
    perceives: bool = False
    """Whether it has modules of its own that see or hear."""
    decoders: tuple[Mapping[str, Any], ...] = ()
    """Decoders of others that its answers go through, as `nexus_torch.decoders` knows them; not written where none."""


def tower_folder(folder: Path) -> Path:
    """Where a tower's files are: the folder itself, or its `tower/`."""
    found = next((each for each in (folder, folder / "tower") if (each / TOWER).exists()), None)
    if found is None:
        raise NexusError(f"'{folder}' holds no tower: there is no {TOWER} in it. Run `nexus run --stage train`.")
    return found


def read_spec(folder: Path) -> TowerSpec:
    """What `tower.json` says."""
    try:
        data = json.loads((folder / TOWER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NexusError(
            f"'{folder / TOWER}' is not readable ({error}). Take the tower from its release again."
        ) from error
    schema = data.get("schema") if isinstance(data, dict) else type(data).__name__
    if schema != SCHEMA:
        raise NexusError(f"'{folder / TOWER}' has the schema {schema!r}; this version reads '{SCHEMA}'.")
    try:
        spec: TowerSpec = record(TowerSpec, data)
    except (TypeError, ValueError, AttributeError) as error:
        raise NexusError(f"'{folder / TOWER}' lacks something ({error}). Take the tower from its release.") from error
    return spec
