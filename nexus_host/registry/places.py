"""Paths in a registry: relative ones count from the folder of the file (from here, for flags) and become absolute."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Mapping
from pathlib import Path as File
from typing import Any

from nexus_specs import locate

from ..discovery import Plugins
from ..words import did_you_mean
from . import trust
from .cards import RegistryModel
from .problems import Path, Place, Problem
from .reading import leaves

ELSEWHERE = ("package:", "hub:")
_OF_A_PATH, _OF_A_PATTERN = (".", "~", "/"), ("*", "?", "[")


def absolute(text: str, folder: File) -> str:
    """A path made absolute; what is no path is left alone.

    >>> absolute("package:acme/data", File("/here")), absolute("a/b.txt", File("/here"))
    ('package:acme/data', '/here/a/b.txt')
    """
    if not text or text.startswith(ELSEWHERE) or "://" in text:
        return text
    return str((folder / locate(text)).resolve())


def absolute_source(text: str, folder: File) -> str:
    """A source made absolute if it is a path: begins with '.', '~' or '/', or is there. Else it is a hub id."""
    if text == "auto" or not (text.startswith(_OF_A_PATH) or (folder / text).exists()):
        return text
    return absolute(text, folder)


def settle(data: Any, model: RegistryModel, plugins: Plugins, home: File, places: Mapping[Path, Place]) -> Any:
    """A copy of the data in which every source and every option that names files is absolute."""
    data = copy.deepcopy(data) or {}

    def folder(path: Path) -> File:
        return home if places.get(path, Place("", 1)).line else File.cwd()

    for name, card in (data.get("teachers") or {}).items():
        source = absolute_source(card["source"], folder(("teachers", name, "source")))
        card["source"] = trust.pinned(source, card.get("revision") or "", card.get("trust") or "")
    student = data.get("student") or {}
    if "core" in student:
        student["core"] = absolute_source(student["core"], folder(("student", "core")))
    for kind, component, holder, path in _holders(data, model):
        for field in plugins.fields(kind, component) if component in plugins.components(kind) else ():
            if field.location and field.name in holder:
                holder[field.name] = _each(holder[field.name], folder((*path, field.name)))
    return data


def absent(
    model: RegistryModel, plugins: Plugins, home: File, places: Mapping[Path, Place], used: Mapping[str, Container[str]]
) -> Iterator[Problem]:
    """Checkpoints and data of what is used (ids by section) that are paths where there is nothing. What may lie on a
    hub is no path."""

    def folder(path: Path) -> File:
        return home if places.get(path, Place("", 1)).line else File.cwd()

    for name, card in model.teachers.items():
        path: Path = ("teachers", name, "source")
        if name in used["teachers"] and card.source.startswith((*_OF_A_PATH, "package:")):
            yield from _gone(path, card.source, folder(path), "a folder, package:NAME/PATH, or OWNER/NAME on the hub")
    for name, data in model.data.items():
        known = plugins.components("reader")
        fields = plugins.fields("reader", data.reader) if name in used["data"] and data.reader in known else ()
        for field in fields:
            for below, written in leaves(data.options.get(field.name), ("data", name, "options", field.name)):
                if field.location and isinstance(written, str) and written and "://" not in written:
                    yield from _gone(below, written, folder(below), "a file or a folder")


def _gone(path: Path, written: str, folder: File, allowed: str) -> Iterator[Problem]:
    parts = [part.partition("#")[0] for part in written.split("+")]  # an adapter on its base, a tensor in a file
    try:
        place = folder / locate(written)
        there = place.exists() or (parts != [written] and all((folder / locate(each)).exists() for each in parts))
    except OSError as error:  # a package that is not installed, a name that is too long
        yield Problem(path, f"{error}. Name {allowed}")
        return
    if not there and not any(sign in written for sign in ELSEWHERE[1:] + _OF_A_PATTERN):
        beside = [each.name for each in place.parent.iterdir()] if place.parent.is_dir() else []
        yield Problem(path, f"there is nothing at {place}.{did_you_mean(place.name, beside)} Name {allowed}")


def _holders(data: Any, model: RegistryModel) -> list[tuple[str, str, dict[str, Any], Path]]:
    """(kind, component, its options in the data, their path) for all components that stand with options."""
    found: list[tuple[str, str, Any, Path]] = []
    for name, tower in model.towers.items():
        found.append(("tower", tower.component, data["towers"][name], ("towers", name)))
    for name, entry in model.data.items():
        found.append(("reader", entry.reader, data["data"][name], ("data", name)))
    for index, loss in enumerate(model.losses):
        found.append(("loss", loss.name, data["losses"][index], ("losses", index)))
    for name, teacher in model.teachers.items():
        if teacher.metric:
            found.append(
                ("metric", teacher.metric.name, data["teachers"][name]["metric"], ("teachers", name, "metric"))
            )
    found.append(("student", model.student.component, data.get("student") or {}, ("student",)))
    return [
        (kind, component, holder["options"], (*path, "options"))
        for kind, component, holder, path in found
        if isinstance(holder, dict) and isinstance(holder.get("options"), dict)
    ]


def _each(value: Any, folder: File) -> Any:
    """Every text in a value made absolute."""
    if isinstance(value, str):
        return absolute(value, folder)
    if isinstance(value, dict):
        return {key: _each(item, folder) for key, item in value.items()}
    return [_each(item, folder) for item in value] if isinstance(value, list) else value
