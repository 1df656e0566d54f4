"""What happens in a worker process: a unit runs, its stage is asked for an estimate, the machine is measured."""

from __future__ import annotations

import dataclasses
import inspect
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from nexus_specs import Blueprint, Budget, Estimate, Machine, NexusError, Paused, Stage, plain, resolve, unchanged

from ..discovery import Plugins
from ..discovery.blaming import blamed
from ..store import Store, remove
from ..store.workers import register
from .context import UnitContext
from .job import Job, Outcome
from .signals import CAUGHT

LOGS = "logs"
_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


def start(run: str, parent: int) -> None:
    """The beginning of a worker: it leaves Ctrl-C, and what else is sent to the whole group, to its parent, dies with
    it, and is listed in the run directory."""
    for number in CAUGHT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)
    register(Path(run), parent)
    with log(Path(run), f"worker-{os.getpid()}", restore=False):
        pass


@cache
def plugins(without: tuple[str, ...]) -> Plugins:
    """The plugins, discovered once for each worker."""
    return Plugins.discover(without)


@cache
def planning(without: tuple[str, ...]) -> Plugins:
    """The plugins while a plan is made: of a checkpoint every stage asks what it is, and it is looked at once."""
    found = copy(plugins(without))
    found.inspect, found.open = cache(found.inspect), cache(found.open)  # type: ignore[method-assign]
    return found


def forget() -> None:
    """What was found in this process; the next question finds it anew."""
    plugins.cache_clear()
    planning.cache_clear()


@unchanged()
def execute(job: Job) -> Outcome:
    """Runs a unit and commits its artefact. Every error becomes an outcome: exceptions of libraries do not always
    survive the way to another process."""
    started = time.perf_counter()
    planning.cache_clear()  # the plan is made
    state, error, expected = "done", "", True
    with log(Path(job.run), f"{job.unit.stage}-{job.unit.subject}"):
        try:
            _run(job)
        except Paused:
            state = "paused"
        except NexusError as problem:
            state, error = "failed", str(problem)
        except BaseException as problem:  # tokenizers panic with a BaseException
            traceback.print_exc()
            whose = blamed(problem, plugins(job.without).found.values())
            state, error, expected = "failed", _words(problem, whose), False
    return Outcome(state=state, error=error, expected=expected, seconds=time.perf_counter() - started)


def _run(job: Job) -> None:
    store = Store(Path(job.run))
    staging = store.staging(job.unit)
    scratch = store.scratch(job.unit)
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        _stage(job).run(UnitContext(job, plugins(job.without), staging))
        store.commit(job.unit, staging, job.facts, job.versions)
    finally:
        remove(staging)
    remove(scratch.parent)  # of earlier settings as well: the unit is done


def _stage(job: Job) -> Stage:
    """The stage, made: with its options where it takes any, else they are in the context alone."""
    component = plugins(job.without).component("stage", job.unit.stage)
    target = resolve(component.target)
    stage: Stage = target(**job.options) if inspect.signature(target).parameters else target()
    return stage


def _words(error: BaseException, where: str) -> str:
    """An error in a line, and whose it is. A full disk is said as such, whatever the library made of it."""
    text = f"{type(error).__name__}: {error}"
    if "No space left" in text or "File too large" in text:
        return f"The disk is full. Free some space and run again: nothing that was finished is lost. ({text})"
    return f"{text} ({where})" if where else text


def _or_none(ask: Callable[_Asked, _Answer]) -> Callable[_Asked, _Answer | None]:
    """The same question, with the answer None where code of a plugin breaks over it; the worker's log says how."""

    @wraps(ask)
    def asked(*given: _Asked.args, **named: _Asked.kwargs) -> _Answer | None:
        try:
            return ask(*given, **named)
        except KeyboardInterrupt:
            raise
        except BaseException:  # as in `execute`
            traceback.print_exc()
            return None

    return asked


@unchanged()
@_or_none
def estimate(job: Job) -> Mapping[str, Any] | None:
    """What a unit would cost, or None where its stage cannot tell."""
    found = plain(_stage(job).estimate(UnitContext(job, planning(job.without), None)))
    return found if isinstance(found, Mapping) and set(found) == set(plain(Estimate())) else None


@_or_none
def place(
    source: str, without: tuple[str, ...], name: str, options: Mapping[str, Any], budget: Budget, named: str = ""
) -> Mapping[str, Any] | None:
    """How an engine would run a teacher, and where its loader finds it: what they have no opinion of is left out; None
    where they cannot tell. What is wrong shows when a unit runs. `named`: what the card calls a source that is pinned;
    then the commit that this name has by now is told, too."""
    found = planning(without)
    engine, origin = found.make("engine", name, **options), found.origin(source)
    said: dict[str, Any] = {"source": origin.source, "missing": origin.missing} if origin else {}
    if origin and named and (latest := found.latest(source, named)) not in ("", origin.commit):
        said["latest"] = latest
    if not hasattr(engine, "place"):
        return said
    settled = engine.place(found.inspect(origin.source if origin else source), budget)
    return said | {"micro_batch": int(settled.micro_batch), "quantise": str(settled.quantise)}


@_or_none
def describe(source: str, without: tuple[str, ...]) -> Mapping[str, Any] | None:
    """What a teacher is, as its loader says, less its layers and the names of its classes; `error` alone where there
    is something wrong with it; None where nobody can tell."""
    try:
        return plain(dataclasses.replace(planning(without).inspect(source), stacks=(), labels=()))  # type: ignore[no-any-return]
    except NexusError as error:
        return {"error": str(error)}


@_or_none
def propose(name: str, teachers: list[Blueprint], tier: int, without: tuple[str, ...]) -> Mapping[str, Any] | None:
    """Options for a new core, as its student proposes them for some teachers and a tier; None where it cannot."""
    maker = plugins(without).make("student", name)
    return plain(dict(maker.propose(teachers, Budget(), tier)))  # type: ignore[no-any-return]


def machine(folder: str, without: tuple[str, ...], name: str, options: Mapping[str, Any]) -> Machine:
    """Has an engine measure this machine and the disk of a folder."""
    measured: Machine = plugins(without).make("engine", name, **options).machine(Path(folder))
    return measured


@contextmanager
def log(run: Path, name: str, *, restore: bool = True) -> Iterator[None]:
    """Sends everything that is printed, by libraries in C as well, to a file of the run directory."""
    (run / LOGS).mkdir(parents=True, exist_ok=True)
    kept = [os.dup(1), os.dup(2)]
    sys.stdout.flush()
    sys.stderr.flush()
    with (run / LOGS / f"{name}.log").open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for handle, number in zip(kept, (1, 2), strict=True):
            if restore:
                os.dup2(handle, number)
            os.close(handle)
