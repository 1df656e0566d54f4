"""Rows of the catalogues that plugins bring: architectures and data sets. They are a stranger's: a row that is no row
says so in its own place, and spoils no other."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nexus_specs import ArchitectureComponent, Component, Lookup, resolve

Row = dict[str, Any]
_LISTS = ("modalities", "heads", "tags", "columns", "splits")
_TEXTS = ("name", "id", "loader", "gguf", "streams", "sort", "reason", "summary", "licence", "size", "reader")


def catalogue(lookup: Lookup, kind: str, owner: Callable[[str], str]) -> list[Row]:
    """The rows of all catalogues of a kind ("architecture" or "dataset"), in the order of their components; `owner` is
    the plugin of one. A data set that two of them offer is in none: each row of it says so."""
    rows: list[Row] = []
    for name, component in lookup.components(kind).items():
        target = component.catalogue if isinstance(component, ArchitectureComponent) else component.target
        rows += [{kind: name} | row for row in _rows(component, target)]
    return _singular(rows, owner) if kind == "dataset" else rows


def _rows(component: Component, target: str) -> list[Row]:
    if not target:
        return [{"name": component.name, "summary": component.summary}]
    try:
        function: Callable[[], Iterable[Any]] = resolve(target)
        found = list(function())
    except (Exception, SystemExit) as error:
        return [{"name": component.name, "error": f"{type(error).__name__}: {error}"}]
    return [_checked(component.name, number, row) for number, row in enumerate(found)]


def _checked(name: str, number: int, row: Any) -> Row:
    """A row; for one that cannot be listed, one that says what is wrong with it."""
    if wrong := _wrong(row):
        return {"name": name, "error": f"row {number} of its catalogue {wrong}"}
    return dict(row)


def _wrong(row: Any) -> str:
    if not isinstance(row, Mapping):
        return f"is {row!r:.40}; give a mapping, as in {{'name': …}}"
    if not (row.get("name") or row.get("architecture")):
        return "has no name"
    for field in _TEXTS:
        if not isinstance(row.get(field, ""), str):
            return f"has {row[field]!r:.40} as {field}; give a text"
    for field in _LISTS:
        value = row.get(field, ())
        if not (isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)):
            return f"has {value!r:.40} as {field}; give a list of words"
    if not isinstance(row.get("options", {}), Mapping):
        return f"has {row['options']!r:.40} as options; give a mapping"
    try:
        json.dumps(row)
    except (TypeError, ValueError, RecursionError) as error:
        return f"holds what JSON does not keep ({error})"
    return ""


def _singular(rows: list[Row], owner: Callable[[str], str]) -> list[Row]:
    """Rows, and of a name that two catalogues offer, that they do."""
    owners: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        owners[row["name"]][owner(row["dataset"])] = None
    for row in rows:
        if len(offering := owners[row["name"]]) > 1:
            both = f"the plugins {' and '.join(offering)} both offer it, so neither is used"
            row.setdefault("error", f"{both}; switch one off with --without")
    return rows
