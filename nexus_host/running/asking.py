"""What workers are asked before units run: what this machine is, how teachers run on it, and what units would cost.

Heavy libraries take seconds to import, so answers are kept in the user's cache folder by all that they depend on: a
plan that was made before starts no worker at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

from nexus_specs import Budget, Choice, Estimate, Machine, plain, record

from ..planning import Plan, Task
from ..planning.contents import Contents
from ..planning.resources import host, keep, recorded, unmeasured
from ..planning.settling import Question, Settled, coarse, pinned, question
from ..planning.subjects import everything
from ..registry import Registry
from ..store import Answers, Store
from . import worker
from .job import job

_PATIENCE = 600.0
"""Seconds for an answer; one that takes longer is none. Heavy libraries take a minute to import on a busy machine."""
ANSWERS = "estimates"
_RATES = ("gigaflops", "gigaflops_float32", "read_rate", "weight_rate", "call_rate")
"""What of a machine is measured, and more where nothing else ran."""


def machine_of(
    run: Path, registry: Registry, executor: Executor, without: tuple[str, ...], *, measure: bool = True
) -> Machine:
    """This machine as it was measured for this run directory, else as the engine measures it now. A plan need not
    `measure` where another one on the same disk did, and keeps nothing in the directory: it may be anybody's."""
    known = recorded(run)
    if known is not None:
        return known
    engines = registry.choices("engine", "student", "student")
    if not engines or engines[0].name not in registry.plugins.components("engine"):
        return unmeasured()
    engine, folder = engines[0], next(each for each in (run, *run.absolute().parents) if each.exists())
    answers, asked = Answers(ANSWERS), _machine_question(registry, engine, folder)
    before = answers.get(asked)
    if before and not measure:
        return record(Machine, before)  # type: ignore[no-any-return]
    found = executor.submit(worker.machine, str(folder), without, engine.name, dict(engine.options)).result()
    if found.device == "cpu":  # what is free on an accelerator is another matter every time
        answers.put(asked, plain(_idle(found, before)))
        answers.save()
    if measure and run.is_dir():
        keep(run, found)
    return found


def _idle(found: Machine, before: Mapping[str, Any] | None) -> Machine:
    """The best of two measurements: the other one was disturbed by what else ran."""
    last = record(Machine, before) if before else found
    return dataclasses.replace(found, **{name: max(getattr(found, name), getattr(last, name)) for name in _RATES})


def _machine_question(registry: Registry, engine: Choice, folder: Path) -> Mapping[str, Any]:
    version = registry.plugins.provider("engine", engine.name).version
    return {"machine": host(), "engine": engine.name, "version": version, "disk": folder.stat().st_dev}


def settle(
    registry: Registry, run: Path, limits: Budget, executor: Executor, without: tuple[str, ...]
) -> tuple[Mapping[str, Settled], Mapping[str, Question]]:
    """How every ready teacher runs where the registry leaves it open, and what was asked: as pinned by this run
    directory, as answered before, or as its engine says now. Those that nobody can tell of are left out."""
    contents, answers, whole = Contents(), Answers(ANSWERS), everything(registry)
    asked = {name: question(whole, name, limits, contents) for name in whole.teachers}
    asked = {name: each for name, each in asked.items() if each.open}
    found, waiting = pinned(run, asked), dict[str, Future[Any]]()
    for name, each in asked.items():
        known = None if name in found or each.remote else answers.get(each.facts)
        if known is not None:
            found[name] = each.answer(known)
        elif name not in found or each.remote:
            source = found[name].source if name in found else each.source
            named = each.source if source not in ("", each.source) else ""
            call = source or each.source, without, each.engine, dict(each.options), each.budget, named
            waiting[name] = executor.submit(worker.place, *call)
    for name, future in waiting.items():
        if (answer := answered(future)) is None:
            continue
        if name in found:  # pinned: only how much of it is missing is news, and whether its name means another one now
            news = {field: answer.get(field, default) for field, default in (("missing", 0), ("latest", ""))}
            found[name] = dataclasses.replace(found[name], **news)
            continue
        found[name] = asked[name].answer(answer)
        if not asked[name].remote:
            answers.put(asked[name].facts, answer)
    contents.save()
    answers.save()
    return found, asked


def with_estimates(plan: Plan, executor: Executor, without: tuple[str, ...]) -> Plan:
    """The plan with what the stages expect of the units that run; those that cannot tell are left out."""
    store, answers = Store(plan.run), Answers(ANSWERS)
    asked = {task.unit.name: _estimate_question(task, store) for task in plan.waiting}
    found = {name: _still(answers.get(each), plan.budget.memory) for name, each in asked.items()}
    waiting = {
        task.unit.name: executor.submit(worker.estimate, job(task, plan, store, without))
        for task in plan.waiting
        if not found[task.unit.name]
    }
    for name, future in waiting.items():
        if answer := answered(future):
            found[name] = answer
            answers.put(asked[name], {"of": plan.budget.memory, **answer})
    answers.save()
    estimates = {name: record(Estimate, answer) for name, answer in found.items() if answer}
    return dataclasses.replace(plan, estimates=with_inputs(plan, _with_fetching(plan, estimates), store))


def _with_fetching(plan: Plan, estimates: Mapping[str, Estimate]) -> Mapping[str, Estimate]:
    """Estimates in which the first unit that opens a teacher fetches what of it is not here."""
    found, told = dict(estimates), set[str]()
    for task in plan.waiting:
        teacher = task.unit.subject
        if not task.recipe.stage.opens_teachers or teacher in told or teacher not in plan.settled:
            continue
        told.add(teacher)
        known = found.get(task.unit.name, Estimate())
        if missing := plan.settled[teacher].missing:
            found[task.unit.name] = dataclasses.replace(known, fetched=max(known.fetched, missing))
    return found


def _estimate_question(task: Task, store: Store) -> Mapping[str, Any]:
    """All that an estimate depends on: what the unit is made of, which of its inputs are there, and the machine."""
    limits = task.recipe.budget
    there = [unit.name for unit in task.inputs if store.folder(unit).is_dir()]
    neutral = ("device", "threads", "residency", *_RATES)
    return {"estimate": task.facts, "there": there} | {name: getattr(limits, name) for name in neutral}


def _still(answer: Mapping[str, Any] | None, memory: int) -> Mapping[str, Any] | None:
    """An estimate that was made for some memory, if it holds for another: the two are about the same, or both hold
    what it takes twice."""
    if not answer:
        return None
    before = int(answer["of"])
    enough = answer["memory"] and 2 * answer["memory"] <= min(before, memory)
    return answer if enough or not answer["memory"] or coarse(before) == coarse(memory) else None


def with_inputs(plan: Plan, estimates: Mapping[str, Estimate], store: Store) -> Mapping[str, Estimate]:
    """Estimates in which the inputs of a unit count as read: what their artefacts hold, or are expected to."""
    sizes = {task.unit.name: _size(task, estimates, store) for task in plan.tasks}
    return {
        task.unit.name: dataclasses.replace(
            estimates[task.unit.name],
            read=estimates[task.unit.name].read + sum(sizes[unit.name] for unit in task.inputs),
        )
        for task in plan.tasks
        if task.unit.name in estimates
    }


def _size(task: Task, estimates: Mapping[str, Estimate], store: Store) -> int:
    """Bytes of an artefact: of the one that is there, else of the one that is expected."""
    if task.state == "cached":
        folder = store.folder(task.unit)
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    expected = estimates.get(task.unit.name, Estimate())
    return expected.disk - expected.passing


def answered(future: Future[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    """An answer; None for one that takes too long, or whose worker died over it."""
    try:
        return future.result(_PATIENCE)
    except (TimeoutError, BrokenExecutor):
        return None
