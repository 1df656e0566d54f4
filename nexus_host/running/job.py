"""Jobs: what a worker process is sent for one unit. Plain values, so that any executor can carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nexus_specs import Budget, Choice, Split, Unit

from ..planning import Plan, Task
from ..store import Store


@dataclass(frozen=True, kw_only=True)
class Job:
    """One unit, ready to run in another process."""

    run: str
    without: tuple[str, ...]
    unit: Unit
    options: Mapping[str, Any]
    card: Mapping[str, Any]
    teachers: Mapping[str, Mapping[str, Any]]
    towers: Mapping[str, Mapping[str, Any]]
    records: tuple[str, ...]
    choices: tuple[tuple[str, Choice], ...]
    readers: Mapping[str, Choice]
    uses: tuple[str, ...]
    reads: tuple[Split, ...]
    needs: Mapping[str, Mapping[str, str]]
    """Needed stage -> subject -> folder."""
    budget: Budget
    seed: int
    samples: int
    versions: Mapping[str, str]
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job."""

    state: str
    """ "done", "paused" or "failed"."""
    seconds: float
    error: str = ""
    expected: bool = True
    """Whether the error is one that a user can mend, so that no traceback is worth pointing at."""


def job(task: Task, plan: Plan, store: Store, without: tuple[str, ...]) -> Job:
    """The job of a task."""
    recipe = task.recipe
    needs: dict[str, dict[str, str]] = {name: {} for name in recipe.stage.needs}
    for unit in task.inputs:
        needs[unit.stage][unit.subject] = str(store.folder(unit))
    return Job(
        run=str(plan.run),
        without=without,
        unit=task.unit,
        options=recipe.options,
        card=recipe.card,
        teachers=recipe.teachers,
        towers=recipe.towers,
        records=tuple(task.facts["records"]),
        choices=recipe.choices,
        readers=recipe.readers,
        uses=recipe.stage.uses,
        reads=recipe.stage.reads,
        needs=needs,
        budget=recipe.budget,
        seed=task.facts["seed"],
        samples=task.facts["samples"],
        versions=plan.versions,
        facts=task.facts,
    )
