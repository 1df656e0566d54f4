"""Whether anything can be learned from a teacher as its card says: from what its loader says it is, before anything
runs. A tower learns what it gives from a teacher that gives it too, and a checkpoint without weights gives nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus_specs import Blueprint, Component, StageComponent, StudentComponent, TowerComponent

from ..discovery import Plugins
from ..registry import Registry
from ..words import listed


def towers_for(blueprint: Blueprint, plugins: Plugins) -> list[str]:
    """Names of the installed towers that take what a checkpoint takes, and give something that it gives."""
    return [
        name
        for name, tower in plugins.components("tower").items()
        if isinstance(tower, TowerComponent)
        and set(tower.takes) == set(blueprint.takes)
        and set(tower.gives) & set(blueprint.gives)
    ]


def trains_towers(plugins: Plugins, target: str) -> bool:
    """Whether a run up to a stage goes beyond the teachers: what they give is recorded and scored without a tower."""
    stages = plugins.stages()
    return target not in stages or stages[target].scope != "teacher"


def unsuited(registry: Registry, known: Mapping[str, Blueprint]) -> Iterator[str]:
    """A line for every teacher whose tower cannot learn what it gives."""
    for name, blueprint in known.items():
        tower = registry.model.teachers[name].tower
        component = registry.model.towers[tower].component
        if said := mismatch(component, blueprint, registry.plugins):
            where = registry.where("teachers", name, "tower")
            out = "or take the teacher out of the run (`status: disabled`)"
            yield f"{where}the tower '{tower}' (component {component}) {said}, {out}."


def unread(registry: Registry, known: Mapping[str, Blueprint]) -> Iterator[str]:
    """A line for every core teacher that does not take what the core takes: there is nothing to teach it with."""
    student = registry.plugins.components("student").get(registry.model.student.component)
    takes = student.takes if isinstance(student, StudentComponent) else ()
    for name in registry.core_teachers():
        if name in known and not set(takes) <= set(known[name].takes):
            yield (
                f"{registry.where('student', 'core_teachers')}'{name}' takes {listed(known[name].takes)} and cannot "
                f"teach the core, which takes {listed(takes)}. Take it out of the list; its tower learns from it still."
            )


def mismatch(component: str, blueprint: Blueprint, plugins: Plugins) -> str:
    """What a tower and a teacher do not have in common, with what to do; "" where the tower can learn from it."""
    tower: Component | None = plugins.components("tower").get(component)
    if not isinstance(tower, TowerComponent):
        return ""
    fed = not tower.takes or not blueprint.takes or set(tower.takes) & set(blueprint.takes)
    if fed and set(tower.gives) & set(blueprint.gives):
        return ""
    gives, others = listed(blueprint.gives), towers_for(blueprint, plugins)
    wanted = f"takes {listed(blueprint.takes)} and gives {gives}" if not fed else f"gives {gives}"
    remedy = f"Install a plugin whose tower {wanted} (`nexus list towers`), write one (`nexus new-plugin tower NAME`)"
    if others:
        remedy = f"Choose the component {' or '.join(others)} for it"
    apart = f"gives {listed(tower.gives)}, the teacher gives {gives}"
    if not fed:
        apart = f"takes {listed(tower.takes)}, the teacher takes {listed(blueprint.takes)}"
    return f"{apart}. {remedy}"


def lossless(registry: Registry, target: str) -> Iterator[str]:
    """A line for every teacher to which no loss applies in a stage, up to the target, that learns from it."""
    stages = registry.plugins.stages()
    learning = [name for name, stage in stages.items() if "loss" in stage.uses and _comes(name, target, stages)]
    for teacher in registry.teachers:
        without = [
            name
            for name in learning
            if teacher in _learned_from(registry, stages[name].scope)
            and not any(
                (not loss.teachers or teacher in loss.teachers) and (not loss.stages or name in loss.stages)
                for loss in registry.model.losses
                if loss.weight
            )
        ]
        if without:
            where = registry.where("teachers", teacher)
            yield f"{where}no loss applies to it in {listed(without)}. Name it in one of `losses`, or a loss for all."


def _comes(stage: str, target: str, stages: Mapping[str, StageComponent]) -> bool:
    """Whether a run up to a stage goes through another one."""
    return target not in stages or stage == target or any(_comes(stage, need, stages) for need in stages[target].needs)


def _learned_from(registry: Registry, scope: str) -> tuple[str, ...]:
    """The teachers that a stage of this scope learns from by losses."""
    return registry.core_teachers() if scope == "core" else tuple(registry.teachers) if scope == "tower" else ()


def weightless(registry: Registry, known: Mapping[str, Blueprint]) -> Iterator[str]:
    """A line for every teacher of which there is nothing but a description."""
    for name, blueprint in known.items():
        if blueprint.weightless:
            source = registry.model.teachers[name].source
            yield f"{registry.where('teachers', name, 'source')}{without_weights(source, blueprint)}"


def unfound(registry: Registry) -> Iterator[str]:
    """A line for every tower, reader and loss whose module its plugin has not: it would be missed hours later."""
    model, plugins = registry.model, registry.plugins
    used: list[tuple[str, str, str | int, str, str]] = [
        ("tower", "towers", name, "component", card.component) for name, card in registry.towers.items()
    ]
    data = dict.fromkeys(card.data for card in registry.teachers.values())
    used += [("reader", "data", name, "reader", model.data[name].reader) for name in data]
    used += [("loss", "losses", place, "name", loss.name) for place, loss in enumerate(model.losses)]
    for kind, section, entry, field, name in used:
        if name in plugins.components(kind) and (said := plugins.unfound(kind, name)):
            yield f"{registry.where(section, entry, field)}{said}."


def without_weights(source: str, blueprint: Blueprint) -> str:
    """What is missing of a checkpoint that can be described and not opened, and what to do."""
    return (
        f"'{source}' lacks {listed(blueprint.missing)}: it can be inspected and planned with, and not run. Put into it "
        "what is missing, or name a folder or a hub id that is whole."
    )
