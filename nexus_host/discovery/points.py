"""Entry points on disk, and whether their distributions fit this installation. Nothing here imports a plugin."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distributions, version
from pathlib import Path
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
    damage: str = ""
    """Why its entry points cannot be read; then `entry` stands for all of them."""

    @property
    def owner(self) -> str:
        """The distribution's name; that of its folder where its metadata is damaged."""
        return _name(self.distribution)

    @property
    def module(self) -> str:
        """The module that the entry point names; empty where it names none."""
        try:
            return str(self.entry.module)
        except AttributeError:  # what stands there is no "module" or "module:attribute"
            return ""

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
    """One header of a distribution's metadata; empty where it, or the whole file, is missing or cannot be read."""
    try:
        headers = cast(Mapping[str, str] | None, distribution.metadata)
    except (OSError, ValueError):
        return ""
    return str((headers.get(key) if headers else "") or "")


def _name(distribution: Distribution) -> str:
    """A distribution's name, of its folder where its metadata says none; "unknown" where it lies in none."""
    folder = _folder(distribution)
    return fact(distribution, "Name") or (folder.name.partition("-")[0] if folder else "unknown")


def _folder(distribution: Distribution) -> Path | None:
    """The folder of a distribution's metadata, which nothing public names."""
    path = getattr(distribution, "_path", None)
    return None if path is None else Path(str(path))


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def points() -> list[Point]:
    """Every plugin entry point, by name, then distribution. The first of two copies of one distribution counts, as
    it does for `import`. One distribution that is damaged stops no other."""
    seen: set[str] = set()
    found: list[Point] = []
    for distribution in distributions():
        name = normal(fact(distribution, "Name"))
        if name and name in seen:
            continue
        seen.add(name)
        found += _points(distribution)
    return sorted(found, key=lambda point: (point.entry.name, point.owner))


def _points(distribution: Distribution) -> list[Point]:
    """The plugin entry points of one distribution; one point under its name where they are damaged."""
    try:
        return [Point(entry, distribution) for entry in distribution.entry_points if entry.group == ENTRY_POINTS]
    except Exception as error:  # whatever the standard library makes of such a file
        if not _means_plugins(distribution):
            return []
        reason = f"its entry_points.txt cannot be read: {type(error).__name__}: {error}"
        return [Point(EntryPoint(_name(distribution), "", ENTRY_POINTS), distribution, reason)]


def _means_plugins(distribution: Distribution) -> bool:
    """Whether a file of entry points that cannot be read names our group."""
    folder = _folder(distribution)
    try:
        return folder is not None and ENTRY_POINTS.encode() in (folder / "entry_points.txt").read_bytes()
    except OSError:
        return False


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
    except (InvalidRequirement, InvalidSpecifier, OSError, ValueError) as error:
        yield f"its metadata cannot be read: {' '.join(str(error).split())}"


def unmet(requirement: Requirement) -> str:
    """Why a requirement is not met here; empty when it is, or when its marker says that it does not apply."""
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return ""
    try:
        here = version(requirement.name)
    except PackageNotFoundError:
        return f"needs {_bare(requirement)}, which is not installed"
    except (OSError, ValueError):
        return f"needs {_bare(requirement)}, whose metadata cannot be read"
    if not requirement.specifier.contains(here, prereleases=True):
        return f"needs {_bare(requirement)}, {here} is installed"
    return ""


def _bare(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"
