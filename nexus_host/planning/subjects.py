"""What units are about, and who feeds whom: teacher -> tower, core teachers -> core -> tower, all -> student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nexus_specs import Scope

from ..registry import Registry

Feeds = Mapping[Scope, tuple[str, ...]]
"""Scope -> the subjects of it that feed a subject, itself among them."""


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """The subjects of a run. `whole` is the registry before --models and the like chose from it: a pinned core
    teacher feeds the core also when it was not chosen."""

    registry: Registry
    whole: Registry
    core_teachers: tuple[str, ...]

    def every(self, scope: Scope) -> tuple[str, ...]:
        """The subjects that a stage of this scope has units for."""
        chosen = tuple(self.registry.teachers)
        every: Mapping[Scope, tuple[str, ...]] = {
            "teacher": chosen + tuple(each for each in self.core_teachers if each not in chosen),
            "core": ("core",),
            "tower": tuple(self.registry.towers),
            "student": ("student",),
        }
        return every[scope]

    def feeds(self, scope: Scope, subject: str) -> Feeds:
        """Who feeds a subject."""
        if scope == "teacher":
            return {"teacher": (subject,)}
        if scope == "core":
            return {"core": ("core",), "teacher": self.core_teachers}
        if scope == "tower":
            return {"tower": (subject,), "core": ("core",), "teacher": self.registry.teachers_of(subject)}
        return {
            "student": ("student",),
            "core": ("core",),
            "tower": tuple(self.registry.towers),
            "teacher": tuple(self.registry.teachers),
        }


def subjects(whole: Registry, registry: Registry, pinned: tuple[str, ...] = ()) -> Subjects:
    """The subjects of a run. The core's teachers are those that the registry names; else those that an earlier run
    of the same directory pinned; else the chosen ones that the core can read; else any ready ones that it can."""
    student = whole.model.student
    if student.core != "auto":
        return Subjects(registry=registry, whole=whole, core_teachers=())
    ready = tuple(each for each in pinned if each in whole.teachers)
    core = ready if student.core_teachers is None else ()
    core = core or registry.core_teachers() or whole.core_teachers()
    named = registry.with_core_teachers(core), whole.with_core_teachers(core)
    return Subjects(registry=named[0], whole=named[1], core_teachers=core)


def everything(registry: Registry) -> Registry:
    """The same registry with every ready teacher chosen whose tower is installed."""
    model, offered = registry.model, registry.plugins.components("tower")
    ready = (name for name, card in model.teachers.items() if card.status == "ready" and card.tower in model.towers)
    return replace(registry, selected=tuple(name for name in ready if _component(registry, name) in offered))


def _component(registry: Registry, teacher: str) -> str:
    """The component of a teacher's tower."""
    return registry.model.towers[registry.model.teachers[teacher].tower].component
