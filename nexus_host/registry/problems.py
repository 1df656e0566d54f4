"""Mistakes in a registry, each with its place; all of them are reported at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nexus_specs import NexusError

MOST = 200
"""Mistakes that are told; thousands would push the first ones out of sight."""
_PLACE = re.compile(r":(\d+):(\d+): ")
Path = tuple[str | int, ...]
"""Keys and list positions from the top of the file."""


@dataclass(frozen=True)
class Place:
    """Where a value was written: a file with line and column from 1, or a flag."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Problem:
    """One mistake: the field it is in and what is wrong, allowed, meant."""

    path: Path
    message: str
    place: Place | None = None
    """Known at once for what is wrong with the file itself; else found by the path."""


class RegistryError(NexusError):
    """Every mistake of a registry, one a line: `registry.yaml:LINE:COL: field: message`, the first one as well."""

    exit_code = 2

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)
        self.label = "" if any(map(_PLACE.search, lines)) else "Error: "
        """What is printed before it."""


def refuse(problems: Sequence[Problem], places: Mapping[Path, Place], source: str) -> None:
    """Raises RegistryError where there is any problem, in the order of the file."""
    located = [(each.place or place_of(each.path, places, source), each) for each in problems]
    located.sort(key=lambda pair: (pair[0].line, pair[0].column))
    if located:
        more = [f"And {len(located) - MOST} more mistakes."] if len(located) > MOST else []
        raise RegistryError([f"{place}: {dotted(each.path)}{each.message}" for place, each in located[:MOST]] + more)


def gathered(lines: Iterable[str]) -> RegistryError:
    """The error of mistakes that were found one by one: each once, in the order of the file."""
    return RegistryError(sorted(dict.fromkeys(lines), key=_written))


def _written(line: str) -> tuple[int, int]:
    """Line and column of a mistake; of what has none, before all others."""
    found = _PLACE.search(line)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def place_of(path: Path, places: Mapping[Path, Place], source: str) -> Place:
    """Where a path was written, or the nearest thing around it that was."""
    while path and path not in places:
        path = path[:-1]
    return places.get(path) or Place(source, 1, 1)


def dotted(path: Path) -> str:
    """ "teachers.prose.share: ", and nothing for the whole file."""
    return ".".join(str(part) for part in path) + ": " if path else ""
