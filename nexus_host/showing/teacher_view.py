"""What each teacher of a plan takes: the units that open it, summed up, and what of it is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..words import bytes_text, listed
from .text import duration

Unit = Mapping[str, Any]
COLUMNS = ("teacher", "time", "passes", "read", "fetched", "memory", "disk")
_SUMS = ("passes", "read", "fetched", "disk")


def teachers_facts(units: Sequence[Unit], lacking: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Rows of a plan's JSON: what all units that open a teacher and have to run come to; of `memory` the most that any
    of them holds. None where nobody can tell."""
    opening = [unit for unit in units if unit["settled"] and unit["state"] == "run"]
    names = dict.fromkeys([*(unit["subject"] for unit in opening), *lacking])
    return [_teacher(name, [unit for unit in opening if unit["subject"] == name], lacking) for name in names]


def _teacher(name: str, units: Sequence[Unit], lacking: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    known = [unit["estimate"] for unit in units if unit["estimate"]]
    told = next((unit for unit in units if unit["estimate"] and unit["estimate"]["how"]), None)
    seconds = [unit["seconds"] for unit in units if unit["seconds"] is not None]
    return {
        "name": name,
        "units": [unit["name"] for unit in units],
        **{field: sum(each[field] for each in known) if known else None for field in _SUMS},
        "memory": max((each["memory"] for each in known), default=None),
        "seconds": sum(seconds) if seconds else None,
        "how": told["estimate"]["how"] if told else "",
        "micro_batch": told["settled"]["micro_batch"] if told else None,
        "missing": list(lacking.get(name, ())),
    }


def teacher_row(teacher: Mapping[str, Any]) -> list[str]:
    """One teacher in the columns of the table."""
    sizes = [teacher[field] for field in ("read", "fetched", "memory", "disk")]
    passes = "?" if teacher["passes"] is None else str(teacher["passes"])
    words = ["?" if size is None else bytes_text(size) for size in sizes]
    return [teacher["name"], duration(teacher["seconds"]), passes, *words]


def held(teachers: Sequence[Mapping[str, Any]]) -> list[str]:
    """How teachers are held and why; those that are alike in one line."""
    told = [each for each in teachers if each["how"]]
    return _alike({each["name"]: f"{each['how']}, {each['micro_batch']} samples at a time." for each in told})


def incomplete(teachers: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is missing of checkpoints; likewise."""
    missing = {each["name"]: listed(each["missing"]) for each in teachers if each["missing"]}
    return _alike({name: f"still missing: {what}. Put it there before `nexus run`." for name, what in missing.items()})


def _alike(said: Mapping[str, str]) -> list[str]:
    """What is said of names, one line for those of which the same is said."""
    found: dict[str, list[str]] = {}
    for name in sorted(said):
        found.setdefault(said[name], []).append(name)
    return [f"{listed(names)}: {words}" for words, names in found.items()]
