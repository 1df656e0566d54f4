"""In which order ready units start: the one that most work still hangs on first, within the memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..planning import Plan, Task

_UNKNOWN = 1.0
"""Seconds that a unit counts for of which nothing is known."""


def priorities(plan: Plan) -> Mapping[str, float]:
    """Unit name -> seconds of the longest chain of units from its start to the end of the run."""
    after: dict[str, float] = {}
    for task in reversed(plan.tasks):
        own = 0.0 if task.state == "cached" else plan.expected(task) or _UNKNOWN
        after[task.unit.name] = own + after.get(task.unit.name, 0.0)
        for unit in task.inputs:
            after[unit.name] = max(after.get(unit.name, 0.0), after[task.unit.name])
    return after


def fits(task: Task, running: Iterable[Task], plan: Plan) -> bool:
    """Whether a unit may start beside those that run. Units that open teachers run side by side only where both are
    known to fit into half of the memory together; all others where the sum of what is known fits."""
    beside = list(running)
    wanted = {
        each.unit.name: plan.estimates[each.unit.name].memory if each.unit.name in plan.estimates else 0
        for each in [*beside, task]
    }
    total, memory = sum(wanted.values()), plan.budget.memory
    heavy = [each for each in [*beside, task] if each.recipe.stage.opens_teachers]
    if task in heavy and len(heavy) > 1:
        return all(wanted[each.unit.name] for each in heavy) and total <= memory / 2
    return not beside or not memory or total <= memory
