"""Entry points on disk, and whether their distributions fit this installation. Nothing here imports a plugin."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distributions, version
from typing import cast

from nexus_specs import ENTRY_POINTS
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

CONTRACT = "nexus-specs"


@dataclass(frozen=True)
class Point:
    """An entry point and the distribution that declares it."""

    entry: EntryPoint
    distribution: Distribution

    @property
    def owner(self) -> str:
        """The distribution's name, "unknown" where its metadata is damaged."""
        return fact(self.distribution, "Name") or "unknown"

    @property
    def version(self) -> str:
        """The distribution's version."""
        return fact(self.distribution, "Version") or "unknown"

    @property
    def editable(self) -> bool:
        """Whether it is installed editable, so that its version says nothing about its code."""
        try:
            facts = json.loads(self.distribution.read_text("direct_url.json") or "{}")
        except ValueError:
            return False
        return bool(isinstance(facts, dict) and facts.get("dir_info", {}).get("editable"))


def fact(distribution: Distribution, key: str) -> str:
    """One header of a distribution's metadata; empty where it, or the whole file, is missing."""
    headers = cast(Mapping[str, str] | None, distribution.metadata)
    return str((headers.get(key) if headers else "") or "")


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def points() -> list[Point]:
    """Every plugin entry point, by name, then distribution. The first of two copies of one distribution counts, as
    it does for `import`."""
    seen: set[str] = set()
    found: list[Point] = []
    for distribution in distributions():
        name = normal(fact(distribution, "Name"))
        if name and name in seen:
            continue
        seen.add(name)
        found += [Point(entry, distribution) for entry in distribution.entry_points if entry.group == ENTRY_POINTS]
    return sorted(found, key=lambda point: (point.entry.name, point.owner))


def misfit(point: Point) -> str:
    """Why a distribution does not fit this Python or this contract; empty when it does."""
    return next(_misfits(point), "")


def _misfits(point: Point) -> Iterator[str]:
    wanted = fact(point.distribution, "Requires-Python")
    here = platform.python_version()
    try:
        if wanted and not SpecifierSet(wanted).contains(here, prereleases=True):
            yield f"needs Python {wanted}, this is {here}"
        for text in point.distribution.requires or ():
            requirement = Requirement(text)
            if normal(requirement.name) == CONTRACT and (missing := unmet(requirement)):
                yield missing
    except (InvalidRequirement, InvalidSpecifier) as error:
        yield f"its metadata cannot be read: {error}"


def unmet(requirement: Requirement) -> str:
    """Why a requirement is not met here; empty when it is, or when its marker says that it does not apply."""
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return ""
    try:
        here = version(requirement.name)
    except PackageNotFoundError:
        return f"needs {_bare(requirement)}, which is not installed"
    if not requirement.specifier.contains(here, prereleases=True):
        return f"needs {_bare(requirement)}, {here} is installed"
    return ""


def _bare(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"
