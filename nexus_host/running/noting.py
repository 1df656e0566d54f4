"""What a run directory keeps of what a run was told and what it ran with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..planning import Plan
from ..planning.settling import CORE, DATA, PINS, SETTLED, known_pins
from ..registry import Registry
from ..store import read_json, write_bytes, write_json
from ..store.artefacts import COPIES
from .sizing import note

REGISTRY, PLUGINS = "registry.yaml", "plugins.json"


def keep_notes(run: Path, registry: Registry, plan: Plan, settled: Mapping[str, Any]) -> None:
    """Keeps the registry, versions of plugins, the core's teachers, and what was settled where the registry leaves
    something open."""
    student, known = registry.model.student, known_pins(run)
    wanted = {**known, SETTLED: {**known.get(SETTLED, {}), **settled}}
    sized = registry.with_core_options(plan.subjects.registry.model.student.options)
    write_bytes(run / REGISTRY, sized.dump().encode())
    write_json(run / PLUGINS, dict(plan.versions))
    if plan.data_pins:
        wanted[DATA] = {**known.get(DATA, {}), **plan.data_pins}
    if student.core == "auto" and student.core_teachers is None:
        wanted["core_teachers"] = list(plan.subjects.core_teachers)
    if student.options != sized.model.student.options:
        wanted[CORE] = note(sized)
    for place in (run / PINS, run / COPIES / PINS):
        if read_json(place, {}) != wanted:
            write_json(place, wanted)
