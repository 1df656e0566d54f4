"""The plan, printed: what runs, what is cached, why the rest is not, and what it will take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nexus_specs import Estimate, plain
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..planning import Plan, Task
from ..planning.stale import size, stale
from ..words import bytes_text
from .tables import print_rows
from .teacher_view import COLUMNS, held, incomplete, teacher_row, teachers_facts
from .text import duration

SCHEMA = "nexus.plan/1"
_FIGURES = ("time", "passes", "read", "fetched", "memory", "disk")
_FETCH = ("teacher", "what", "source", "bytes", "missing", "rows", "latest")
_REASONS = 3
"""Reasons of a unit that are printed; `--json` has all."""


def plan_facts(plan: Plan, workers: int) -> dict[str, Any]:
    """The plan as JSON."""
    units = [_unit(plan, task) for task in plan.tasks]
    return {
        "schema": SCHEMA,
        "run_dir": str(plan.run),
        "core_teachers": list(plan.subjects.core_teachers),
        "budget": {name: value for name, value in plain(plan.budget).items() if name != "scratch"},
        "units": units,
        "teachers": teachers_facts(units, plan.lacking),
        "total": _total(plan, workers),
        "fetch": _fetches(plan),
        "earlier": size(stale(plan)),
    }


def _fetches(plan: Plan) -> list[dict[str, Any]]:
    """What lies on a hub: teachers at their commits, and the data that they learn from. `missing` is what the units to
    run would fetch."""
    opened = {task.unit.subject for task in plan.waiting if task.recipe.stage.opens_teachers}
    rows: list[tuple[Any, ...]] = [
        (name, "checkpoint", found.source, None, found.missing if name in opened else 0, None, found.latest)
        for name, found in plan.settled.items()
        if found.source and name in plan.subjects.every("teacher")
    ]
    rows += [
        (name, "data", each.source, each.bytes, each.missing, each.rows or None, plan.data_moved.get(name, ""))
        for name, each in plan.data.items()
    ]
    return [dict(zip(_FETCH, row, strict=True)) for row in rows]


def moved(plan: Plan) -> list[str]:
    """A line for each source whose name means another commit on its hub by now."""
    return [
        f"{each['teacher']}, {each['what']}: {_names(each['source'])} has moved on its hub, to "
        f"{' and '.join(commit[:12] for commit in each['latest'].split('+'))}. This run keeps the commit that it was "
        "planned with; `nexus run --reset` begins anew with the other one."
        for each in _fetches(plan)
        if each["latest"]
    ]


def _names(source: str) -> str:
    """What a source is called, without commits; several are joined by "+".

    >>> _names("acme/a@0123 + acme/b@4567")
    'acme/a and acme/b'
    """
    return " and ".join(each.partition("@")[0] for each in source.split(" + "))


def _elsewhere(fetches: list[dict[str, Any]]) -> list[str]:
    """Each of it in a line: its commit, and what of it is still to be fetched."""
    lines = []
    for each in fetches:
        sources = (source.partition("@") for source in each["source"].split(" + "))
        where = " and ".join(f"{name} at {commit[:12]}" for name, _, commit in sources)
        rows = f" ({each['rows']:,} rows)" if each["rows"] else ""
        left = f"{bytes_text(each['missing'])}{rows} to fetch" if each["missing"] else "nothing to fetch"
        lines.append(f"{each['teacher']}, {each['what']}: {where}; {left}.")
    return list(dict.fromkeys(lines))


def _unit(plan: Plan, task: Task) -> dict[str, Any]:
    estimate = plan.estimates.get(task.unit.name)
    return {
        "name": task.unit.name,
        "stage": task.unit.stage,
        "subject": task.unit.subject,
        "fingerprint": task.unit.fingerprint,
        "state": task.state,
        "why": list(task.why),
        "seconds": plan.expected(task) if task.state == "run" else 0.0,
        "estimate": plain(estimate) if estimate else None,
        "settled": _settled(task),
    }


def _settled(task: Task) -> dict[str, Any] | None:
    """How a unit that opens a teacher runs; what results depend on is in its fingerprint."""
    if not task.recipe.stage.opens_teachers:
        return None
    budget = task.recipe.budget
    return {name: getattr(budget, name) for name in ("residency", "quantise", "micro_batch")}


def _total(plan: Plan, workers: int) -> dict[str, Any]:
    known = [plan.estimates.get(task.unit.name, Estimate()) for task in plan.waiting]
    seconds = [plan.expected(task) for task in plan.waiting]
    spread = sum(each or 0.0 for each in seconds) / workers
    data = {each.source: each.missing for each in plan.data.values()}  # teachers may share a set
    return {
        "run": len(plan.waiting),
        "cached": len(plan.tasks) - len(plan.waiting),
        "read": sum(each.read for each in known),
        "fetched": sum(each.fetched for each in known) + sum(data.values()),
        "memory": max((each.memory for each in known), default=0),
        "disk": sum(each.disk for each in known),
        "seconds": round(max([spread, *(each or 0.0 for each in seconds)]), 1),
        "unknown": sum(each is None for each in seconds),
    }


def print_plan(plan: Plan, workers: int, out: Console) -> None:
    """Prints the plan, what each teacher takes, and the sums."""
    facts = plan_facts(plan, workers)
    print_rows(_table(("unit", "state", "time", "read", "memory", "disk", "why"), map(_row, facts["units"])), out)
    teachers = facts["teachers"]
    if opened := [each for each in teachers if each["units"]]:
        out.print()
        print_rows(_table(COLUMNS, map(teacher_row, opened)), out)
        out.print()
    more = (*_elsewhere(facts["fetch"]), *held(teachers), *_earlier(facts["earlier"]), *incomplete(teachers))
    more = (*more, *_too_large(facts["units"], plan.budget.memory))
    for line in (*_sums(facts["total"], plan), *more, *moved(plan)):
        out.print(escape(line))


def _too_large(units: Iterable[Mapping[str, Any]], memory: int) -> list[str]:
    """The unit that takes most, where that is more than it may."""
    waiting = [unit for unit in units if unit["state"] == "run" and unit["estimate"]]
    known = [(unit["estimate"]["memory"], unit["name"]) for unit in waiting]
    most, name = max(known, default=(0, ""))
    if most <= memory:
        return []
    may = f"{bytes_text(memory)} is what it may take (`run.memory`, else what is free)"
    return [f"Memory: {name} takes {bytes_text(most)}, and {may}. Allow more, or choose another teacher."]


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in _FIGURES else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _earlier(size: int) -> list[str]:
    """That earlier settings left something behind."""
    return [f"Artefacts of earlier settings hold {bytes_text(size)}; `nexus run --prune` removes them."] if size else []


def _row(unit: Mapping[str, Any]) -> list[str]:
    if unit["state"] == "cached":
        return [unit["name"], "cached", "", "", "", "", ""]
    estimate = unit["estimate"] or {}
    sizes = [bytes_text(estimate[name]) if estimate.get(name) else "" for name in ("read", "memory", "disk")]
    why, rest = unit["why"][:_REASONS], len(unit["why"]) - _REASONS
    reasons = "; ".join(why) + (f"; and {rest} more" if rest > 0 else "")
    return [unit["name"], "run", duration(unit["seconds"]), *sizes, reasons]


def _sums(total: Mapping[str, Any], plan: Plan) -> list[str]:
    unknown = f", without {total['unknown']} units of which nothing is known yet" if total["unknown"] else ""
    time = f" About {duration(total['seconds'])}{unknown}." if total["run"] else ""
    fetched = f", fetches {bytes_text(total['fetched'])}" if total["fetched"] else ""
    needs = f" Reads {bytes_text(total['read'])}{fetched}, writes {bytes_text(total['disk'])}." if total["run"] else ""
    return [
        f"{total['run']} units to run, {total['cached']} cached.{time}{needs}",
        f"Core teachers: {', '.join(plan.subjects.core_teachers) or 'none'}. Precision: {plan.budget.precision}.",
    ]
