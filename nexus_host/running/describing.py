"""What the chosen teachers are, asked of a worker before anything runs: loaders import heavy libraries. What was told
is kept like all answers, so a second plan of the same teachers asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from nexus_specs import Blueprint, NexusError, record

from ..planning.contents import Contents
from ..planning.settling import Settled
from ..registry import Registry
from ..store import Answers
from . import worker
from .asking import ANSWERS, answered


@dataclass(frozen=True)
class Described:
    """What is known of teachers, by id."""

    blueprints: Mapping[str, Blueprint]
    """Without stacks and labels; none of a teacher that nobody can tell of."""
    wrong: tuple[str, ...] = ()
    """A line for each whose loader cannot make anything of it."""
    lacking: Mapping[str, tuple[str, ...]] = field(init=False)
    """What a user must still provide, where that is anything."""

    def __post_init__(self) -> None:
        lacking = {name: each.missing for name, each in self.blueprints.items() if each.missing}
        object.__setattr__(self, "lacking", lacking)


def describe(
    registry: Registry, settled: Mapping[str, Settled], executor: Executor, without: tuple[str, ...]
) -> Described:
    """What every chosen teacher is."""
    contents, answers = Contents(), Answers(ANSWERS)
    found: dict[str, Blueprint] = {}
    asked: dict[str, Any] = {}
    waiting: dict[str, Future[Any]] = {}
    for name, card in registry.teachers.items():
        source = settled[name].source if name in settled and settled[name].source else card.source
        asked[name] = _question(registry, source, contents, pinned=source != card.source)
        known = answers.get(asked[name]) if asked[name] else None
        if known:
            found[name] = record(Blueprint, known)
        else:
            waiting[name] = executor.submit(worker.describe, source, without)
    wrong = []
    for name, future in waiting.items():
        told = answered(future) or {}
        if "error" in told:
            wrong.append(f"{registry.where('teachers', name, 'source')}{told['error']}")
        elif told:
            found[name] = record(Blueprint, told)
            if asked[name]:
                answers.put(asked[name], told)
    contents.save()
    answers.save()
    return Described({name: found[name] for name in registry.teachers if name in found}, tuple(wrong))


def _question(registry: Registry, source: str, contents: Contents, *, pinned: bool) -> Mapping[str, Any] | None:
    """All that an answer depends on; None where it may be another one tomorrow: what lies elsewhere, at no commit."""
    content = contents.source(source)
    if content == source and not pinned:
        return None
    try:
        loader = registry.plugins.loader(source)
    except NexusError:
        return None
    return {"describe": content, "loader": contents.version(registry.plugins.provider("architecture", loader))}
