"""How large a new core is where its card says nothing: `core: auto` without `options`."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

from nexus_specs import Blueprint, NexusError, plain

from ..planning.contents import Contents
from ..planning.settling import CORE, Settled, known_pins
from ..planning.subjects import everything, subjects
from ..registry import Registry
from ..store import Answers
from . import worker
from .asking import ANSWERS, answered
from .describing import describe


def with_sizes(
    registry: Registry, settled: Mapping[str, Settled], run: Path, executor: Executor, without: tuple[str, ...]
) -> Registry:
    """The registry with what the student proposes for its core teachers and its tier, never for the memory that happens
    to be free. A run directory keeps what was proposed for the tier; where nobody proposes anything, the options'
    defaults count."""
    student = registry.model.student
    if student.core != "auto" or student.options:
        return registry
    pins = known_pins(run)
    held = pins.get(CORE, {})
    if held.get("for") == [student.component, student.tier] and _fits(registry, held["options"]):
        return registry.with_core_options(held["options"])
    whole = everything(registry)
    core = subjects(whole, registry, tuple(pins.get("core_teachers", ()))).core_teachers
    teachers = describe(replace(whole, selected=core or whole.selected), settled, executor, without).blueprints
    return registry.with_core_options(_proposed(registry, list(teachers.values()), executor, without))


def _fits(registry: Registry, options: Mapping[str, Any]) -> bool:
    """Whether the student can be given what a note says."""
    try:
        return not list(registry.plugins.option_problems("student", registry.model.student.component, options))
    except NexusError:
        return False


def _proposed(
    registry: Registry, teachers: list[Blueprint], executor: Executor, without: tuple[str, ...]
) -> Mapping[str, Any]:
    """What a worker says that the student proposes, less what it cannot be given; {} where it proposes nothing."""
    student, plugins, answers = registry.model.student, registry.plugins, Answers(ANSWERS)
    try:
        known = {field.name: field.default for field in plugins.fields("student", student.component)}
        version = Contents().version(plugins.provider("student", student.component))
    except NexusError:  # said where the registry is checked
        return {}
    if not teachers or not known:
        return {}
    asked = {"propose": student.component, "version": version, "tier": student.tier, "teachers": plain(teachers)}
    said = answers.get(asked)
    if said is None:
        said = answered(executor.submit(worker.propose, student.component, teachers, student.tier, without))
        if said is not None:
            answers.put(asked, said)
            answers.save()
    return {name: value for name, value in (said or {}).items() if name in known and value != known[name]}


def note(registry: Registry) -> dict[str, Any]:
    """What a run directory keeps of sizes that were proposed for a registry."""
    student = registry.model.student
    return {"for": [student.component, student.tier], "options": dict(student.options)}
