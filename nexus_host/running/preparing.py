"""From a registry to a plan with estimates, the same way for `nexus plan` and `nexus run`: what is wrong shows here,
all at once, before anything is written or opened."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nexus_specs import Blueprint, Budget, Estimate, Machine, as_usual

from ..discovery import Plugins
from ..discovery.opening import is_here
from ..planning import Plan, make_plan
from ..planning.announced import announce
from ..planning.resources import budget
from ..planning.settling import pins
from ..planning.suiting import lossless, trains_towers, unfound, unread, unsuited, weightless
from ..registry import Registry, RegistryModel
from ..registry.loading import FILE
from ..registry.trust import allow
from . import worker
from .asking import machine_of, settle, with_estimates
from .describing import Described, describe
from .inline import Inline
from .limiting import growing
from .pool import Workers
from .sizing import with_sizes

MOST = 4 << 30
"""Bytes that making a usual sample and following it may take: a large tokenizer 0.4 GB, tiles of a picture 0.2 GB."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A plan, and what a run of it keeps."""

    plan: Plan
    machine: Machine
    pins: Mapping[str, Any]
    """How teachers run, as it was settled."""


def prepare(
    registry: Registry,
    plugins: Plugins,
    run: Path,
    executor: Executor,
    *,
    without: tuple[str, ...] = (),
    target: str = "",
    samples: int = 0,
    shown: bool = False,
) -> Prepared:
    """The plan of a run. One that is only `shown` measures nothing anew, and may be about checkpoints whose weights are
    not here yet. Raises RegistryError with every mistake, NexusError where there is nothing to run."""
    worker.planning.cache_clear()  # an executor may answer in this process, where an earlier plan was made
    machine = machine_of(run, registry, executor, without, measure=not shown)
    limits = budget(registry, machine, run)
    settled, asked = settle(registry, run, limits, executor, without)
    known = describe(registry, settled, executor, without)
    if trains_towers(plugins, target):
        registry = with_sizes(registry, settled, run, executor, without)
    wrong = _wrong(registry, known, target, shown=shown)
    plan = make_plan(
        registry, plugins, run, budget=limits, target=target, samples=samples, settled=settled, wrong=wrong
    )
    plan = dataclasses.replace(plan, lacking=known.lacking)
    return Prepared(plan=with_estimates(plan, executor, without), machine=machine, pins=pins(settled, asked))


def _wrong(registry: Registry, known: Described, target: str, *, shown: bool) -> list[str]:
    """A line for every teacher from which nothing can be learned as its card says."""
    lines = list(known.wrong)
    if trains_towers(registry.plugins, target):
        lines += [
            *unsuited(registry, known.blueprints),
            *unread(registry, known.blueprints),
            *lossless(registry, target),
        ]
    return lines if shown else [*lines, *weightless(registry, known.blueprints), *unfound(registry)]


def planned(
    registry: Registry,
    plugins: Plugins,
    run: Path,
    *,
    without: tuple[str, ...] = (),
    target: str = "",
    samples: int = 0,
    here: bool = False,
) -> Plan:
    """The plan with estimates, made without writing into the run directory. `here`: in this process, which has the
    heavy libraries already."""
    allow(registry.teachers.values())
    with _here() if here else _aside() as executor:
        found = prepare(registry, plugins, run, executor, without=without, target=target, samples=samples, shown=True)
    announce(run, found.pins, found.plan.data_pins)
    return found.plan


def held_here(
    source: str, blueprint: Blueprint, plugins: Plugins, without: tuple[str, ...]
) -> tuple[Budget, Estimate, str] | None:
    """How a teacher would be held on this machine with nothing else said, what one batch of usual samples takes, as the
    default engine has it, and what these are in words ("": short texts, or not known); None where there is no engine
    that can tell. Asked in this process, which has the loader's libraries already."""
    registry, here = Registry(Path(FILE), RegistryModel(), plugins, ()), Path.cwd()
    (engine,) = registry.choices("engine", "student", "student") or (None,)
    if engine is None or engine.name not in plugins.components("engine"):
        return None
    try:
        with ThreadPoolExecutor(1) as executor:
            machine = machine_of(here, registry, executor, without, measure=False)
        asked = dataclasses.replace(budget(registry, machine, here), micro_batch=0, quantise="")
        made = plugins.make("engine", engine.name, **engine.options)
        known, words = _usual(source, blueprint, plugins)
        placed: Budget = made.place(known, asked)
        return placed, made.estimate(known, max(1, placed.micro_batch), 0, placed), words
    except Exception:
        return None


def _usual(source: str, blueprint: Blueprint, plugins: Plugins) -> tuple[Blueprint, str]:
    """The blueprint for a usual sample, of what is here and takes more than texts. What a stranger's processor makes of
    one may be of any size: then memory is refused, and nothing is known."""
    if {*blueprint.takes, *blueprint.gives} <= {"text"} or blueprint.weightless or not is_here(source):
        return blueprint, ""
    try:
        with growing(MOST):
            return as_usual(blueprint, plugins.open(source))
    except Exception:
        return blueprint, ""


@contextmanager
def _here() -> Iterator[Executor]:
    with TemporaryDirectory(prefix="nexus-plan-") as folder, Inline(Path(folder)) as executor:
        yield executor


@contextmanager
def _aside() -> Iterator[Executor]:
    """One worker that keeps its notes in a folder of its own, started when it is first asked. It is ended and not
    waited for: it holds nothing, and heavy libraries take their time to go."""
    with TemporaryDirectory(prefix="nexus-plan-") as folder, Workers(Path(folder), 1) as executor:
        try:
            yield executor
        finally:
            executor.kill()
