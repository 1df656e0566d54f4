"""The graph of units, from the fields of the stages alone: nothing is imported for it."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping

from nexus_specs import NexusError, Scope, StageComponent

from ..words import did_you_mean, listed
from .subjects import Subjects

Key = tuple[str, str]
"""(stage, subject)."""
Graph = Mapping[Key, tuple[Key, ...]]
"""Unit -> the units whose artefacts it reads."""

_ABOVE: Mapping[Scope, tuple[Scope, ...]] = {
    "teacher": ("teacher",),
    "core": ("core", "teacher"),
    "tower": ("tower", "core", "teacher"),
    "student": ("student", "tower", "core", "teacher"),
}


class UnknownStageError(NexusError):
    """A stage to stop at that there is not."""

    exit_code = 2


def build(stages: Mapping[str, StageComponent], subjects: Subjects, target: str = "") -> Graph:
    """All units in an order in which they can run, with what each needs; with a target only those up to that stage.

    Raises NexusError for stages that cannot be put in order, and for a target that is none.
    """
    wanted = set(_wanted(stages, target))
    for stage in stages.values():
        if stage.name in wanted:
            _check(stage, stages)
    graph = {
        (stage.name, subject): _needs(stage, subject, stages, subjects)
        for stage in stages.values()
        if stage.name in wanted
        for subject in subjects.every(stage.scope)
    }
    return _reachable(graph, _ordered(graph), subjects, stages, target)


def _wanted(stages: Mapping[str, StageComponent], target: str) -> set[str]:
    if not target:
        return set(stages)
    if target not in stages:
        near = did_you_mean(target, stages)
        raise UnknownStageError(f"--stage: no stage is named '{target}'.{near} Stages: {listed(stages)}.")
    found, waiting = set(), [target]
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting += [need for need in (stages[name].needs if name in stages else ()) if need not in found]
    return found


def _check(stage: StageComponent, stages: Mapping[str, StageComponent]) -> None:
    for need in stage.needs:
        if need not in stages:
            raise NexusError(
                f"The stage '{stage.name}' needs the stage '{need}', which no plugin offers."
                f"{did_you_mean(need, stages)} Install the plugin that does, or see `nexus doctor`."
            )
        if stages[need].scope not in _ABOVE[stage.scope]:
            raise NexusError(
                f"The stage '{stage.name}' works on a {stage.scope} and cannot need '{need}', which works on a "
                f"{stages[need].scope}: work goes from teachers to towers to the student."
            )


def _needs(
    stage: StageComponent, subject: str, stages: Mapping[str, StageComponent], subjects: Subjects
) -> tuple[Key, ...]:
    feeds = subjects.feeds(stage.scope, subject)
    return tuple((need, each) for need in stage.needs for each in feeds.get(stages[need].scope, ()))


def _ordered(graph: Graph) -> list[Key]:
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        names = listed(dict.fromkeys(stage for stage, _ in error.args[1]))
        raise NexusError(f"These stages need one another in a circle: {names}. Take one `needs` out.") from error


def _reachable(
    graph: Graph, order: list[Key], subjects: Subjects, stages: Mapping[str, StageComponent], target: str
) -> Graph:
    """The graph less what only a core teacher that was not chosen would be there for."""
    chosen = set(subjects.registry.teachers)
    kept: set[Key] = set()
    for key in reversed(order):
        stage, subject = key
        extra = stages[stage].scope == "teacher" and subject not in chosen
        if (not extra and target in ("", stage)) or key in kept:
            kept |= {key, *graph[key]}
    return {key: graph[key] for key in order if key in kept}
