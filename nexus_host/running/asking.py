"""What workers are asked before units run: what this machine is, and what the units would cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nexus_specs import Estimate, Machine, record

from ..discovery import Plugins
from ..planning import Plan, make_plan
from ..planning.resources import budget, keep, recorded, unmeasured
from ..registry import Registry
from ..store import Store
from . import worker
from .job import job
from .pool import Workers

_PATIENCE = 120.0
"""Seconds for an estimate; one that takes longer is none."""


def machine_of(run: Path, registry: Registry, executor: Executor, without: tuple[str, ...]) -> Machine:
    """This machine: as it was measured for this run directory, else as the engine measures it now."""
    known = recorded(run)
    if known is None:
        engines = registry.choices("engine", "student", "student")
        if not engines or engines[0].name not in registry.plugins.components("engine"):
            return unmeasured()
        folder = next(each for each in (run, *run.absolute().parents) if each.exists())
        asked = executor.submit(worker.machine, str(folder), without, engines[0].name, dict(engines[0].options))
        known = asked.result()
        if run.is_dir():
            keep(run, known)
    return known


def with_estimates(plan: Plan, executor: Executor, without: tuple[str, ...]) -> Plan:
    """The plan with what the stages expect of the units that run; those that cannot tell are left out."""
    store = Store(plan.run)
    asked = {task.unit.name: executor.submit(worker.estimate, job(task, plan, store, without)) for task in plan.waiting}
    answers = {name: _answer(future) for name, future in asked.items()}
    found = {name: record(Estimate, answer) for name, answer in answers.items() if answer}
    return dataclasses.replace(plan, estimates=found)


def _answer(future: Future[Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
    """An estimate; None for one that takes too long, or whose worker died over it."""
    try:
        return future.result(_PATIENCE)
    except (TimeoutError, BrokenExecutor):
        return None


def planned(
    registry: Registry,
    plugins: Plugins,
    run: Path,
    *,
    without: tuple[str, ...] = (),
    target: str = "",
    samples: int = 0,
) -> Plan:
    """The plan with estimates, made without writing into the run directory."""
    with _aside() as executor:
        machine = machine_of(run, registry, executor, without)
        limits = budget(registry, machine, run)
        plan = make_plan(registry, plugins, run, budget=limits, target=target, samples=samples)
        return with_estimates(plan, executor, without)


@contextmanager
def _aside() -> Iterator[Executor]:
    """One worker that keeps its notes in a folder of its own. It is ended and not waited for: it holds nothing, and
    heavy libraries take their time to go."""
    with TemporaryDirectory(prefix="nexus-plan-") as folder, Workers(Path(folder), 1) as executor:
        try:
            yield executor
        finally:
            executor.kill()
