"""The plan: every unit in order, whether it is cached, and why not where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nexus_specs import Budget, Estimate, NexusError, Origin, Split, StageComponent, Unit

from ..discovery import Plugins
from ..registry import Registry, RegistryError
from ..registry.problems import gathered
from ..store import Artefact, Store, read_json
from .data_sets import DataSets
from .explain import differences
from .graph import Graph, Key, build
from .recipe import Cook, Recipe, fingerprint
from .settling import DATA, Settled, known_pins
from .subjects import Subjects, everything, subjects

TIMINGS = "timings.json"
State = Literal["cached", "run"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One unit of a plan."""

    unit: Unit
    recipe: Recipe
    facts: Mapping[str, Any]
    """Those of the recipe, with the fingerprints of its inputs."""
    inputs: tuple[Unit, ...]
    state: State
    why: tuple[str, ...] = ()
    """Why it has to run; empty if it is cached."""
    damaged: str = ""
    """What is wrong with an artefact that is there."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do."""

    run: Path
    subjects: Subjects
    budget: Budget
    tasks: tuple[Task, ...]
    """In an order in which they can run."""
    versions: Mapping[str, str]
    timings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Unit name -> its last time in this run directory: seconds, fingerprint, and how much work it was."""
    data: Mapping[str, Origin] = field(default_factory=dict)
    """Teacher -> where its data lie, if they are on a hub."""
    data_pins: Mapping[str, str] = field(default_factory=dict)
    """What `DataSets` finds again: the commits of these data."""
    data_moved: Mapping[str, str] = field(default_factory=dict)
    """Teacher -> the commit that its data have by now, where the run keeps another one."""
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    """Unit name -> what its stage expects, for those that run."""
    settled: Mapping[str, Settled] = field(default_factory=dict)
    """Teacher -> what was settled where the registry leaves something open."""
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Teacher -> what of its checkpoint a user must still provide."""

    @property
    def waiting(self) -> tuple[Task, ...]:
        """The tasks that have to run."""
        return tuple(task for task in self.tasks if task.state == "run")

    def expected(self, task: Task) -> float | None:
        """Seconds that a unit should take: as last time if it was as much work, else as its stage estimates, else as
        last time all the same; None where nobody knows."""
        last = self.timings.get(task.unit.name, {})
        took = float(last.get("seconds", 0.0))
        if last.get("work") == work(task):
            return took
        return self.estimates.get(task.unit.name, Estimate()).seconds or took or None


class NothingToRunError(NexusError):
    """A registry or a choice of teachers that leaves no work."""

    exit_code = 2


def make_plan(
    registry: Registry,
    plugins: Plugins,
    run: Path,
    *,
    budget: Budget,
    target: str = "",
    samples: int = 0,
    settled: Mapping[str, Settled] | None = None,
    wrong: Iterable[str] = (),
) -> Plan:
    """Plans a run. `target`: a stage to stop at; `samples`: a limit per teacher and part (0: none); `settled`: what the
    registry leaves open; `wrong`: mistakes that were found before. Reads the run directory and writes nothing into it.
    Raises RegistryError with every mistake, NexusError where there is nothing to run."""
    if not registry.teachers:
        raise NothingToRunError(f"{registry.path}: {_nobody(registry)}")
    pins = known_pins(run)
    about = subjects(everything(registry), registry, tuple(pins.get("core_teachers", ())))
    stages = plugins.stages()
    graph = build(stages, about, target)
    data = DataSets(plugins, pins.get(DATA, {}))
    cook = Cook(plugins, about, budget, samples, settled, data)
    recipes = _recipes(cook, graph, stages, wrong)
    cook.counted.contents.save()
    timings = {name: note for name, note in read_json(run / TIMINGS, {}).items() if isinstance(note, dict)}
    tasks = tuple(_tasks(graph, recipes, Store(run), timings))
    return Plan(
        run=run,
        subjects=about,
        budget=budget,
        tasks=tasks,
        versions=cook.counted.versions,
        timings=timings,
        settled=settled or {},
        data=data.read(_parts(tasks)),
        data_pins=data.pins,
        data_moved=data.moved,
    )


def _recipes(
    cook: Cook, graph: Graph, stages: Mapping[str, StageComponent], wrong: Iterable[str]
) -> Mapping[Key, Recipe]:
    """What every unit is given. Raises RegistryError with all mistakes, those that were found before among them."""
    recipes, lines = {}, list(wrong)
    for stage, subject in graph:
        try:
            recipes[stage, subject] = cook.recipe(stages[stage], subject)
        except RegistryError as error:
            lines += error.lines
    if lines:
        raise gathered(lines)
    return recipes


def _nobody(registry: Registry) -> str:
    """Why no teacher is there to be distilled, and what to do."""
    cards = registry.model.teachers
    if not cards:
        return "has no teachers. Type `nexus add SOURCE` to write one."
    if not any(card.status == "ready" for card in cards.values()):
        return "no teacher is ready. Write `status: ready` in a card; see `nexus list teachers`."
    return "no ready teacher is left by --models, --datasets and --skip-non-llm. See `nexus list teachers`."


def _parts(tasks: Iterable[Task]) -> Mapping[str, tuple[Split, ...]]:
    """Teacher -> the parts of its data that units read which have to run."""
    found: dict[str, dict[Split, None]] = {}
    for task in tasks:
        for teacher in task.recipe.readers if task.state == "run" else ():
            found.setdefault(teacher, {}).update(dict.fromkeys(task.recipe.stage.reads))
    return {teacher: tuple(splits) for teacher, splits in found.items()}


def work(task: Task) -> Mapping[str, Any]:
    """What decides how long a unit takes, as far as it is known from outside."""
    return {name: task.facts[name] for name in ("options", "data", "samples")}


def _tasks(graph: Graph, recipes: Mapping[Key, Recipe], store: Store, timings: Mapping[str, Any]) -> Iterator[Task]:
    units: dict[Key, Unit] = {}
    for key, needs in graph.items():
        inputs = tuple(units[each] for each in needs)
        task = _task(recipes[key], inputs, store, timings)
        units[key] = task.unit
        yield task


def _task(recipe: Recipe, inputs: tuple[Unit, ...], store: Store, timings: Mapping[str, Any]) -> Task:
    facts = {**recipe.facts, "inputs": {each.name: each.fingerprint for each in inputs}}
    stage, subject = recipe.key
    known = store.versions(stage, subject)
    facts = _richer(facts, known)
    unit = Unit(stage=stage, subject=subject, fingerprint=fingerprint(facts))
    damage = store.damage(unit)
    if damage == "":
        return Task(unit=unit, recipe=recipe, facts=facts, inputs=inputs, state="cached")
    latest = timings.get(unit.name, {}).get("fingerprint", "")
    why = (f"damaged: {damage}",) if damage else tuple(_why(facts, known, latest))
    return Task(unit=unit, recipe=recipe, facts=facts, inputs=inputs, state="run", why=why, damaged=damage or "")


def _richer(facts: dict[str, Any], known: list[Artefact]) -> dict[str, Any]:
    """The facts of an artefact that records more than is needed and is the same otherwise, if there is one: what a
    loss that was taken out wanted does no harm."""
    wanted = set(facts["records"])
    fits = [
        dict(each.facts)
        for each in known
        if wanted <= set(each.facts["records"]) and {**each.facts, "records": facts["records"]} == facts
    ]
    return min(fits, key=lambda each: (len(each["records"]), each["records"]), default=facts)


def _why(facts: Mapping[str, Any], known: list[Artefact], latest: str) -> list[str]:
    """Against the artefact of the last run, else against the one that differs least."""
    if not known:
        return ["its artefact is gone"] if latest else ["never run"]
    last = [each for each in known if each.unit.fingerprint == latest]
    found = [differences(each.facts, facts) for each in last or known]
    return min(found, key=len) or ["its artefact is gone"]
