"""What a registry says against itself, and against what is installed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from nexus_specs import KINDS, NexusError

from ..discovery import Plugins
from ..words import did_you_mean, listed
from . import trust
from .cards import ComponentRef, RegistryModel, RunCard, StudentCard, TeacherCard, TowerCard
from .problems import Path, Problem
from .shape import SCOPES, Shaped


def references(shaped: Shaped, ids: Mapping[str, Iterable[str]]) -> Iterator[Problem]:
    """Names inside the file that lead nowhere, or to two things. `ids` are the keys that were written, also those of
    cards with mistakes."""
    model = shaped.model
    for name, teacher in model.teachers.items():
        path: Path = ("teachers", name)
        for field, section in (("tower", "towers"), ("data", "data")):
            written = getattr(teacher, field)
            if written:
                yield from _known((*path, field), written, section, ids[section])
            elif teacher.status == "ready":
                yield Problem((*path, field), f"is missing; a ready teacher names an entry of {section}")
    for index, loss in zip(shaped.losses, model.losses, strict=True):
        for place, teacher_id in enumerate(loss.teachers):
            yield from _known(("losses", index, "teachers", place), teacher_id, "teachers", ids["teachers"])
    for place, teacher_id in enumerate(model.student.core_teachers or ()):
        yield from _known(("student", "core_teachers", place), teacher_id, "teachers", ids["teachers"])
    yield from _aliases(model, ids["teachers"])
    yield from trust.problems(model)


def _known(path: Path, name: str, section: str, known: Iterable[str]) -> Iterator[Problem]:
    if name not in known:
        message = f"'{name}' is not among the {section}.{did_you_mean(name, known)} There: {listed(known)}."
        yield Problem(path, message)


def _aliases(model: RegistryModel, ids: Iterable[str]) -> Iterator[Problem]:
    owners = {name: f"the id of the teacher '{name}'" for name in ids}
    for name, teacher in model.teachers.items():
        for place, alias in enumerate(teacher.aliases):
            if alias in owners:
                yield Problem(("teachers", name, "aliases", place), f"'{alias}' is already {owners[alias]}")
            owners.setdefault(alias, f"an alias of the teacher '{name}'")


class ComponentChecks:
    """Names of components and their options, against what is installed.

    `used` holds the ids of sections whose components matter here: a plugin that is missing, broken or doubly named
    fails the runs that use it and no other.
    """

    def __init__(self, shaped: Shaped, plugins: Plugins, used: Mapping[str, Container[str]]) -> None:
        self.model, self.losses, self.plugins, self.used = shaped.model, shaped.losses, plugins, used

    def problems(self) -> Iterator[Problem]:
        """Every mistake."""
        for name, teacher in self.model.teachers.items():
            if name in self.used["teachers"]:
                path: Path = ("teachers", name)
                yield from self.reference((*path, "metric"), "metric", teacher.metric)
                yield from self.named((*path, "components"), teacher.components)
                yield from self.stages((*path, "stages"), teacher.stages, SCOPES[TeacherCard])
        yield from self.towers()
        yield from self.data()
        for index, loss in zip(self.losses, self.model.losses, strict=True):
            yield from self.component(("losses", index), "name", "loss", loss.name, loss.options)
            training = [name for name, stage in self.plugins.stages().items() if "loss" in stage.uses]
            for place, stage in enumerate(loss.stages):
                yield from _known(("losses", index, "stages", place), stage, "stages that use losses", training)
        yield from self.whole()

    def towers(self) -> Iterator[Problem]:
        """Of towers, their components and stages."""
        named = {card.tower for card in self.model.teachers.values()}
        for name, tower in self.model.towers.items():
            path: Path = ("towers", name)
            if name in self.used["towers"]:
                found = self.component(path, "component", "tower", tower.component, tower.options)
                yield from map(self._missed, found)
                yield from self.stages((*path, "stages"), tower.stages, SCOPES[TowerCard])
            else:
                yield from self.spare(path, "component", "tower", tower.component, tower.options, name in named)

    def data(self) -> Iterator[Problem]:
        """Of data, their readers."""
        named = {card.data for card in self.model.teachers.values()}
        for name, data in self.model.data.items():
            if name in self.used["data"]:
                yield from self.component(("data", name), "reader", "reader", data.reader, data.options)
            else:
                yield from self.spare(("data", name), "reader", "reader", data.reader, data.options, name in named)

    def spare(
        self, path: Path, field: str, kind: str, name: str, given: Mapping[str, Any], named: bool
    ) -> Iterator[Problem]:
        """What is surely wrong in an entry that this run does not use: options of a component that is here, and, where
        no card names the entry either, a name that is nearly one's. Other names may be of plugins to come."""
        known = self.plugins.components(kind)
        if name not in known and (named or not did_you_mean(name, known)):
            return
        found = list(self.component(path, field, kind, name, given))
        yield from (each for each in found if name not in known or each.path[2] != field)

    def _missed(self, problem: Problem) -> Problem:
        """A mistake in a tower; of one whose component is not there, with the teachers that cannot learn without it."""
        _, tower, field = problem.path[:3]
        teachers = self.model.teachers
        waiting = [name for name in teachers if name in self.used["teachers"] and teachers[name].tower == tower]
        if field != "component" or not waiting:
            return problem
        own = "Or write one: `nexus new-plugin tower NAME`."
        out = f"{own} `status: available` keeps what learns from it out of a run until then: {listed(waiting)}."
        return replace(problem, message=f"{problem.message} {out}")

    def whole(self) -> Iterator[Problem]:
        """What every run uses."""
        student, run = self.model.student, self.model.run
        yield from self.component(("student",), "component", "student", student.component, student.options)
        yield from self.stages(("student", "stages"), student.stages, SCOPES[StudentCard])
        yield from self.named(("run", "components"), run.components)
        yield from self.stages(("run", "stages"), run.stages, SCOPES[RunCard])

    def named(self, path: Path, components: Mapping[Any, ComponentRef]) -> Iterator[Problem]:
        """Components by kind."""
        for kind, ref in components.items():
            yield from self.reference((*path, kind), kind, ref)

    def reference(self, path: Path, kind: str, ref: ComponentRef | None) -> Iterator[Problem]:
        """`NAME` or `{name: NAME, options: {...}}`."""
        if ref is not None:
            yield from self.component(path, "name", kind, ref.name, ref.options)

    def component(self, path: Path, field: str, kind: str, name: str, given: Mapping[str, Any]) -> Iterator[Problem]:
        """One component and the options that stand beside its name."""
        assert kind in KINDS, kind
        try:
            found = self.plugins.option_problems(kind, name, given)
            missing = self.plugins.unmet(kind, name)
        except NexusError as error:
            yield Problem((*path, field), str(error))
            return
        if missing:
            yield Problem((*path, field), missing)
        for below, message in found:
            yield Problem((*path, "options", *_steps(below)), message)

    def stages(self, path: Path, stages: Mapping[str, Mapping[str, Any]], scopes: tuple[str, ...]) -> Iterator[Problem]:
        """Options of stages, under a card that they work on."""
        known = self.plugins.stages()
        for name, given in stages.items():
            try:
                found = self.plugins.option_problems("stage", name, given)
            except NexusError as error:
                yield Problem((*path, name), str(error))
                continue
            if known[name].scope not in scopes:
                yield Problem(
                    (*path, name),
                    f"works on a {known[name].scope}, not here; write it under {_home(known[name].scope)}",
                )
            yield from (Problem((*path, name, *_steps(below)), message) for below, message in found)


def _home(scope: str) -> str:
    return {"teacher": "a teacher's stages", "tower": "a tower's stages"}.get(scope, "student.stages")


def _steps(below: str) -> Path:
    """The steps of a dotted path below options."""
    return tuple(int(part) if part.isdigit() else part for part in below.split("."))
