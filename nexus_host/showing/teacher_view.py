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
        "ways": _ways(units),
        "missing": list(lacking.get(name, ())),
    }


def _ways(units: Sequence[Unit]) -> list[dict[str, Any]]:
    """How the units hold it, where they differ (a teacher that is recorded in four bits is scored as it is): which of
    them, and what the first of them says. One way is what stands before the colon: the sizes behind it differ."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for unit in units:
        if how := (unit["estimate"] or {}).get("how"):
            batch = unit["settled"]["micro_batch"]
            way = {"stages": list[str](), "how": how, "micro_batch": batch}
            found.setdefault((how.partition(":")[0], batch), way)["stages"].append(unit["stage"])
    return list(found.values())


def teacher_row(teacher: Mapping[str, Any]) -> list[str]:
    """One teacher in the columns of the table."""
    sizes = [teacher[field] for field in ("read", "fetched", "memory", "disk")]
    passes = "?" if teacher["passes"] is None else str(teacher["passes"])
    words = ["?" if size is None else bytes_text(size) for size in sizes]
    return [teacher["name"], duration(teacher["seconds"]), passes, *words]


def held(teachers: Sequence[Mapping[str, Any]]) -> list[str]:
    """How teachers are held and why; those that are alike in one line."""
    return _alike([(each["name"], _way(way, each["ways"])) for each in teachers for way in each["ways"]])


def _way(way: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> str:
    stages = f"{listed(way['stages'])}: " if len(every) > 1 else ""
    return f"{stages}{way['how']}, {way['micro_batch']} samples at a time."


def incomplete(teachers: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is missing of checkpoints; likewise."""
    missing = {each["name"]: listed(each["missing"]) for each in teachers if each["missing"]}
    told = {name: f"still missing: {what}. Put it there before `nexus run`." for name, what in missing.items()}
    return _alike(list(told.items()))


def _alike(said: Sequence[tuple[str, str]]) -> list[str]:
    """What is said of names, one line for those of which the same is said."""
    found: dict[str, list[str]] = {}
    for name, words in sorted(said, key=lambda each: each[0]):
        found.setdefault(words, []).append(name)
    return [f"{listed(names)}: {words}" for words, names in found.items()]
