"""What goes into a unit: everything its stage declares, resolved from the registry. What is not here, it cannot see;
what is here is hashed into its fingerprint."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nexus_specs import Budget, Choice, LossComponent, NexusError, Scope, Split, StageComponent, plain

from ..discovery import Plugins
from ..registry import RegistryError
from ..store import text_hash
from .counting import Counted
from .data_sets import DataSets
from .graph import Key
from .settling import Settled, teacher_budget, unanswered
from .subjects import Feeds, Subjects

LENGTH = 12
"""Hexadecimal digits of a fingerprint."""
_OF_TEACHERS = ("metric", "reader", "engine", "profiler")
_OF_THE_RUN = ("engine", "profiler")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one unit is given."""

    key: Key
    stage: StageComponent
    options: Mapping[str, Any]
    card: Mapping[str, Any]
    teachers: Mapping[str, Mapping[str, Any]]
    towers: Mapping[str, Mapping[str, Any]]
    choices: tuple[tuple[str, Choice], ...]
    """(subject, what the registry names for it)."""
    records: tuple[str, ...]
    readers: Mapping[str, Choice]
    """Of the teachers whose data it reads."""
    budget: Budget
    """What it may use; for a unit that opens a teacher with what was settled for that teacher."""
    facts: Mapping[str, Any]
    """All of it as JSON, inputs left out: what is hashed."""


def _hashed_budget() -> tuple[str, ...]:
    """Fields of a budget that results depend on."""
    return tuple(each.name for each in dataclasses.fields(Budget) if not each.metadata.get("neutral"))


def fingerprint(facts: Mapping[str, Any]) -> str:
    """The name of equal work."""
    return text_hash(json.dumps(facts, sort_keys=True))[:LENGTH]


class Cook:
    """Writes recipes; keeps what several of them share."""

    def __init__(
        self,
        plugins: Plugins,
        subjects: Subjects,
        budget: Budget,
        samples: int = 0,
        settled: Mapping[str, Settled] | None = None,
        data: DataSets | None = None,
    ) -> None:
        self.data = data or DataSets(plugins, {})
        self.plugins, self.subjects, self.budget, self.samples = plugins, subjects, budget, samples
        self.settled, self.counted = settled or {}, Counted(plugins)
        self._data: dict[tuple[str, Split], str] = {}
        self._unread: dict[str, RegistryError] = {}

    def recipe(self, stage: StageComponent, subject: str) -> Recipe:
        """Everything that a unit declares, and the facts to hash."""
        feeds = self.subjects.feeds(stage.scope, subject)
        teachers = feeds.get("teacher", ())
        towers = feeds.get("tower", ()) if stage.scope == "student" else ()
        parts: dict[str, Any] = {
            "options": self.subjects.whole.stage_options(stage.name, stage.scope, subject),
            "card": self._card(stage, stage.scope, subject),
            "teachers": {each: self._card(stage, "teacher", each) for each in teachers},
            "towers": {each: self._card(stage, "tower", each) for each in towers},
            "choices": tuple(self._choices(stage, subject, feeds)),
            "records": self._records(stage, subject) if stage.records else (),
            "readers": {each: self._reader(each) for each in teachers} if stage.reads else {},
            "budget": self._budget(stage, subject),
        }
        recipe = Recipe(key=(stage.name, subject), stage=stage, facts={}, **parts)
        return dataclasses.replace(recipe, facts=self._facts(recipe))

    def _card(self, stage: StageComponent, scope: Scope, subject: str) -> Mapping[str, Any]:
        card = self.subjects.whole.card(scope, subject)
        found = self.settled.get(subject) if scope == "teacher" else None
        if found and found.source:
            card["source"] = found.source
        return {field: card[field] for field in stage.fields if field in card}

    def _choices(self, stage: StageComponent, subject: str, feeds: Feeds) -> Iterator[tuple[str, Choice]]:
        for use in stage.uses:
            kind, _, name = use.partition(":")
            if name:
                yield subject, Choice(kind=kind, name=name, options=self.plugins.options(kind, name))
            elif kind == "loss":
                losses = self.subjects.registry.choices("loss", stage.scope, subject)
                yield from ((subject, loss) for loss in losses if not loss.stages or stage.name in loss.stages)
            else:
                yield from self._chosen(kind, stage.scope, subject, feeds)

    def _chosen(self, kind: str, scope: Scope, subject: str, feeds: Feeds) -> Iterator[tuple[str, Choice]]:
        owners: list[tuple[Scope, str]] = []
        if kind == "student" or (kind in _OF_THE_RUN and scope != "teacher"):
            owners.append((scope, subject))
        if kind == "tower":
            owners += [("tower", each) for each in feeds.get("tower", ())]
        if kind in _OF_TEACHERS:
            owners += [("teacher", each) for each in feeds.get("teacher", ())]
        for owner_scope, owner in owners:
            for choice in self.subjects.whole.choices(kind, owner_scope, owner):
                yield owner, self._pinned(owner, choice) if kind == "reader" else choice

    def _records(self, stage: StageComponent, subject: str) -> tuple[str, ...]:
        losses = self.subjects.registry.choices("loss", stage.scope, subject)
        components = (self.plugins.component("loss", loss.name) for loss in losses)
        return tuple(sorted({name for each in components if isinstance(each, LossComponent) for name in each.records}))

    def _reader(self, teacher: str) -> Choice:
        found = self.subjects.whole.choices("reader", "teacher", teacher)
        if not found:
            raise NexusError(f"The teacher '{teacher}' has no data. Name an entry of `data` in its card.")
        return self._pinned(teacher, found[0])

    def _pinned(self, teacher: str, choice: Choice) -> Choice:
        """The reader of a teacher, held to one commit where its data lie on a hub."""
        with self._of_data(teacher):
            return self.data.pinned(teacher, choice)

    @contextmanager
    def _of_data(self, teacher: str) -> Iterator[None]:
        """Errors of a reader begin with where the registry names it; one that failed is not asked again."""
        registry = self.subjects.whole
        if teacher in self._unread:
            raise self._unread[teacher]
        try:
            yield
        except (OSError, NexusError) as error:
            name = registry.model.teachers[teacher].data
            where, what = registry.where("data", name), ""
            if ("data", name) not in registry.places:  # of a catalogue, as the card or the command line names it
                where, what = registry.where("teachers", teacher, "datasets"), f"the data '{name}' "
            self._unread[teacher] = RegistryError([f"{where}{what}cannot be read: {error}"])
            raise self._unread[teacher] from error

    def _facts(self, recipe: Recipe) -> dict[str, Any]:
        stage, subject = recipe.stage, recipe.key[1]
        facts = {
            "stage": {"name": stage.name, "version": self.counted.version("stage", stage.name)},
            "subject": subject,
            "options": self.counted.options("stage", stage.name, recipe.options),
            "card": self.counted.card(recipe.card),
            "teachers": {
                name: self.counted.card(card)
                for name, card in recipe.teachers.items()
                if name != subject or stage.scope != "teacher"
            },
            "towers": {name: self.counted.card(card) for name, card in recipe.towers.items()},
            "components": dict(self._components(recipe)),
            "data": {each: self._splits(each, choice, stage) for each, choice in recipe.readers.items()},
            "records": list(recipe.records),
            "budget": {name: getattr(recipe.budget, name) for name in _hashed_budget()},
            "seed": self.subjects.whole.model.run.seed,
            "samples": self.samples if stage.reads else 0,
        }
        return dict(json.loads(json.dumps(plain(facts), sort_keys=True, default=str)))

    def _budget(self, stage: StageComponent, subject: str) -> Budget:
        """A unit that opens a teacher runs it as was settled; no other unit knows of that."""
        if not stage.opens_teachers or stage.scope != "teacher":
            return self.budget
        wanted = teacher_budget(self.subjects.whole, subject, self.budget)
        found = self.settled.get(subject) or unanswered(wanted)
        return dataclasses.replace(wanted, micro_batch=found.micro_batch, quantise=found.quantise)

    def _components(self, recipe: Recipe) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for subject, choice in recipe.choices:
            name = f"{choice.kind} {choice.name}" if choice.kind == "loss" else f"{choice.kind} of {subject}"
            seen[name] = seen.get(name, 0) + 1
            yield name if seen[name] == 1 else f"{name} ({seen[name]})", self.counted.component(choice)
        for teacher, choice in recipe.readers.items():
            yield f"reader of {teacher}", self.counted.component(choice)
        yield from self._loaders(recipe)

    def _loaders(self, recipe: Recipe) -> Iterator[tuple[str, Any]]:
        """The loader of every source that it sees; all of them where it opens what it was not told of here."""
        if "architecture" not in recipe.stage.uses:
            return
        cards = {recipe.key[1]: recipe.card, **recipe.teachers}
        sources = {name: card["source"] for name, card in cards.items() if "source" in card}
        for name, source in sources.items():
            try:
                loader = self.plugins.loader(source)
            except NexusError as error:
                where = self.subjects.whole.where("teachers", name, "source") if name in recipe.teachers else ""
                raise RegistryError([f"{where}{error}"]) from error
            yield f"architecture of {name}", {"name": loader, "version": self.counted.version("architecture", loader)}
        if not sources:
            every = self.plugins.components("architecture")
            yield "architectures", {name: self.counted.version("architecture", name) for name in every}

    def _splits(self, teacher: str, choice: Choice, stage: StageComponent) -> Mapping[str, str]:
        return {split: self._fingerprint(teacher, choice, split) for split in stage.reads}

    def _fingerprint(self, teacher: str, choice: Choice, split: Split) -> str:
        if (teacher, split) not in self._data:
            with self._of_data(teacher):
                reader = self.plugins.make("reader", choice.name, **choice.options)
                self._data[teacher, split] = reader.fingerprint(split)
        return self._data[teacher, split]
