"""`Registry`: what one run is to do, in the terms of the plan."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nexus_specs import Choice, StudentComponent, TowerComponent
from ruamel.yaml import YAML

from ..discovery import Plugins
from . import loading, selection
from .cards import ComponentRef, RegistryModel, StudentCard, TeacherCard, TowerCard
from .overrides import Override
from .problems import Path as Keys
from .problems import Place, dotted, place_of

DEFAULT_ENGINE, DEFAULT_PROFILER = "sli", "niwt"


@dataclass(frozen=True)
class Registry:
    """A checked registry, and the teachers that were selected from it.

    >>> Registry.load(None, plugins, [Override.parse("run.seed=1")]).select(models=["prose"])   # doctest: +SKIP
    """

    path: Path
    model: RegistryModel
    plugins: Plugins
    selected: tuple[str, ...]
    """Ids of the teachers that this run is about, in the order of the file."""
    places: Mapping[Keys, Place] = field(default_factory=dict, repr=False, compare=False)
    """Where each value was written."""

    @classmethod
    def load(
        cls,
        path: Path | None,
        plugins: Plugins,
        overrides: Sequence[Override] = (),
        *,
        models: Iterable[str] = (),
        datasets: Iterable[str] = (),
        language_only: bool = False,
        strict: bool = True,
        files: bool = False,
    ) -> Registry:
        """Reads and checks `path`, or ./registry.yaml, or the one that a plugin brings.

        Raises RegistryError with every mistake. Components are checked for what is selected; not at all where
        `strict` is off, for listings. With `files`, so are the checkpoints and data that it names.
        """

        def select(model: RegistryModel) -> tuple[str, ...]:
            return selection.chosen(model, plugins, models, datasets, language_only)

        found = loading.find(path, plugins)
        wanted = select if strict else None
        model, places = loading.load(found, plugins, overrides, wanted, tuple(datasets), files=files)
        return cls(found, model, plugins, select(model), places)

    def select(self, models: Iterable[str] = (), datasets: Iterable[str] = (), language_only: bool = False) -> Registry:
        """Of what is selected, the teachers named (ids, aliases), on the data named (names, tags, "all")."""
        named = selection.chosen(self.model, self.plugins, models, datasets, language_only)
        return replace(self, selected=tuple(name for name in self.selected if name in named))

    def where(self, *keys: str | int) -> str:
        """A value for messages: "registry.yaml:8:3: data.prose: "."""
        return f"{place_of(keys, self.places, str(self.path))}: {dotted(keys)}"

    @property
    def teachers(self) -> dict[str, TeacherCard]:
        """The selected teachers."""
        return {name: self.model.teachers[name] for name in self.selected}

    @property
    def towers(self) -> dict[str, TowerCard]:
        """The towers that they use, in the order of the file."""
        used = {card.tower for card in self.teachers.values()}
        return {name: card for name, card in self.model.towers.items() if name in used}

    def teachers_of(self, tower: str) -> tuple[str, ...]:
        """The selected teachers of a tower."""
        return tuple(name for name, card in self.teachers.items() if card.tower == tower)

    def core_teachers(self) -> tuple[str, ...]:
        """The teachers of the core: those that are named; else the selected ones whose tower takes nothing but what
        the core takes; none for a core that starts from a checkpoint."""
        if self.model.student.core != "auto":
            return ()
        named = self.model.student.core_teachers
        return tuple(named) if named is not None else tuple(filter(self._suits_core, self.selected))

    def _suits_core(self, teacher: str) -> bool:
        """Whether the core can learn from a teacher; not where the plugin of its tower is not loaded."""
        student = self.plugins.component("student", self.model.student.component)
        tower = self.plugins.components("tower").get(self.model.towers[self.model.teachers[teacher].tower].component)
        takes = student.takes if isinstance(student, StudentComponent) else ()
        return isinstance(tower, TowerComponent) and set(tower.takes) <= set(takes)

    def with_core_teachers(self, ids: Sequence[str]) -> Registry:
        """The same with these core teachers: how a run pins what its first plan found."""
        student = self.model.student.model_copy(update={"core_teachers": tuple(ids)})
        return replace(self, model=self.model.model_copy(update={"student": student}))

    def with_core_options(self, options: Mapping[str, Any]) -> Registry:
        """The same with these options of the student: the sizes of a new core of which the registry says nothing."""
        student = self.model.student.model_copy(update={"options": dict(options)})
        return replace(self, model=self.model.model_copy(update={"student": student}))

    def card(self, scope: str, subject: str) -> dict[str, Any]:
        """The plain fields of a subject's card, with defaults filled in: what stages may declare to see."""
        return _fields(self, scope, subject) | {"name": subject}

    def choices(self, kind: str, scope: str, subject: str) -> tuple[Choice, ...]:
        """What the registry names for a kind and a subject, with complete options. Empty where it names nothing."""
        return _choices(self, kind, scope, subject)

    def stage_options(self, stage: str, scope: str, subject: str) -> dict[str, Any]:
        """A stage's options for a subject, complete. Later wins: the dataclass, the options of the stage that it
        inherits from, run.stages, the subject's card."""
        given = self._given(stage, scope, subject)
        return self.plugins.options("stage", stage, given)

    def _given(self, stage: str, scope: str, subject: str) -> dict[str, Any]:
        known = {field.name for field in self.plugins.fields("stage", stage)}
        parent = self.plugins.stages()[stage].inherits
        inherited = self.stage_options(parent, scope, subject) if parent in self.plugins.stages() else {}
        own = self.subject(scope, subject).stages.get(stage, {})
        return {name: value for name, value in inherited.items() if name in known} | (
            self.model.run.stages.get(stage, {}) | own
        )

    def subject(self, scope: str, subject: str) -> TeacherCard | TowerCard | StudentCard:
        """The card of a subject; the core's is the student's."""
        if scope == "teacher":
            return self.model.teachers[subject]
        return self.model.towers[subject] if scope == "tower" else self.model.student

    def teachers_for(self, scope: str, subject: str) -> tuple[str, ...]:
        """The teachers that feed a subject."""
        feeding = {
            "teacher": lambda: (subject,),
            "tower": lambda: self.teachers_of(subject),
            "core": self.core_teachers,
        }
        return feeding[scope]() if scope in feeding else self.selected

    def dump(self) -> str:
        """The registry as it counts, in YAML: paths absolute, overrides applied, defaults filled in."""
        text = io.StringIO()
        yaml = YAML()
        yaml.width = 120
        yaml.dump(self.model.model_dump(mode="json", exclude_none=True), text)
        return text.getvalue()


def _fields(registry: Registry, scope: str, subject: str) -> dict[str, Any]:
    card = registry.subject(scope, subject)
    fields = card.model_dump(mode="json", exclude={"options", "stages", "components", "metric"})
    if isinstance(card, TeacherCard):
        fields["capability"] = card.capability or subject
        fields["tier"] = card.tier or registry.model.student.tier
        fields["modality"] = selection.modality(registry.model, registry.plugins, card)
    if isinstance(card, StudentCard):
        fields["core_teachers"] = list(registry.core_teachers())
    return fields


def _choices(registry: Registry, kind: str, scope: str, subject: str) -> tuple[Choice, ...]:
    if kind == "loss":
        return _losses(registry, registry.teachers_for(scope, subject))
    named = _named(registry, kind, scope, subject)
    if named is None:
        return ()
    name, given = named
    return (Choice(kind=kind, name=name, options=registry.plugins.options(kind, name, given)),)


def _named(registry: Registry, kind: str, scope: str, subject: str) -> tuple[str, Mapping[str, Any]] | None:
    """Name and options of the one component that the registry names for a kind."""
    card, model = registry.subject(scope, subject), registry.model
    if kind == "student":
        return model.student.component, model.student.options
    if kind == "tower":
        return (card.component, card.options) if isinstance(card, TowerCard) else None
    if kind in ("engine", "profiler", "executor"):
        own: Mapping[Any, ComponentRef] = card.components if isinstance(card, TeacherCard) else {}
        return _reference({**model.run.components, **own}.get(kind), _default(kind))
    if not isinstance(card, TeacherCard):
        return None
    if kind == "reader":
        data = model.data[card.data]
        return data.reader, data.options
    return _reference(card.metric, _tower_metric(registry, card)) if kind == "metric" else None


def _reference(ref: ComponentRef | None, default: str) -> tuple[str, Mapping[str, Any]] | None:
    return (ref.name, ref.options) if ref else (default, {}) if default else None


def _default(kind: str) -> str:
    return {"engine": DEFAULT_ENGINE, "profiler": DEFAULT_PROFILER}.get(kind, "")


def _tower_metric(registry: Registry, card: TeacherCard) -> str:
    """The metric that the component of a teacher's tower proposes."""
    component = registry.plugins.component("tower", registry.model.towers[card.tower].component)
    return component.metric if isinstance(component, TowerComponent) else ""


def _losses(registry: Registry, teachers: tuple[str, ...]) -> tuple[Choice, ...]:
    """The losses that apply to any of these teachers. `teachers` of a choice is empty where it applies to all of
    them, so that naming a teacher elsewhere changes nothing here."""
    found: list[Choice] = []
    for card in registry.model.losses:
        applies = tuple(name for name in teachers if not card.teachers or name in card.teachers)
        if applies:
            options = registry.plugins.options("loss", card.name, card.options)
            some = () if applies == teachers else applies
            place = {"teachers": some, "stages": tuple(card.stages)}
            found.append(Choice(kind="loss", name=card.name, options=options, weight=card.weight, **place))
    return tuple(found)
