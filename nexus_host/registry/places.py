"""Paths in a registry: relative ones count from the folder of the file (from here, for flags) and become absolute."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path as File
from typing import Any

from ..discovery import Plugins
from . import trust
from .cards import RegistryModel
from .problems import Path, Place

ELSEWHERE = ("package:", "hub:")


def absolute(text: str, folder: File) -> str:
    """A path made absolute; what is no path is left alone.

    >>> absolute("package:acme/data", File("/here")), absolute("a/b.txt", File("/here"))
    ('package:acme/data', '/here/a/b.txt')
    """
    if not text or text.startswith(ELSEWHERE) or "://" in text:
        return text
    return str((folder / File(text).expanduser()).resolve())


def absolute_source(text: str, folder: File) -> str:
    """A source made absolute if it is a path: begins with '.', '~' or '/', or is there. Else it is a hub id."""
    if text == "auto" or not (text.startswith((".", "~", "/")) or (folder / text).exists()):
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
