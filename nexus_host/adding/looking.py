"""A look at the data before a card is written: what a run would only find minutes later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nexus_specs import Blueprint, NexusError, Reader

from ..discovery import Plugins
from ..registry import RegistryModel
from ..registry.catalogued import Catalogue
from ..registry.places import absolute
from ..words import listed
from .composing import Addition

NAMES, LABEL = "labels", "label"
"""The option of a metric that names classes in the order of the output; the field of a sample that says its own."""
_SHOWN = 8
"""Classes that a message shows."""


def look(addition: Addition, blueprint: Blueprint, plugins: Plugins, model: RegistryModel, home: Path) -> Addition:
    """The addition; its metric knows the checkpoint's classes where data name theirs in words. Raises NexusError where
    data cannot be read, lack what the checkpoint takes, or are too few to judge by. Of what lies elsewhere only the
    columns are looked at: nothing is fetched for it."""
    name = str(addition.teacher["data"])
    if name in addition.data:
        card = addition.data[name]
        path = absolute(card["options"]["path"], home)
        reader: Reader = plugins.make("reader", card["reader"], **{"path": path})
        where = f"data '{name}' ({path}, reader {card['reader']})"
        return _named(addition, _check(reader, where, blueprint), where, blueprint, plugins)
    if name in model.data:
        entry = model.data[name]
        reader = plugins.make("reader", entry.reader, **entry.options)
        if not hasattr(reader, "origin"):
            where = f"data '{name}' (reader {entry.reader})"
            return _named(addition, _check(reader, where, blueprint), where, blueprint, plugins)
    elif columns := Catalogue(plugins).rows[name].get("columns"):
        _holds(columns, f"data '{name}'", blueprint)
    return addition


def _named(
    addition: Addition, fields: Mapping[str, Any], where: str, blueprint: Blueprint, plugins: Plugins
) -> Addition:
    """The addition with the names of the checkpoint's classes for a metric that asks for them, where a label is a word:
    an output has numbers alone."""
    label, metric, classes = fields.get(LABEL), addition.teacher.get("metric"), blueprint.classes
    if not isinstance(label, str) or not isinstance(metric, str) or not classes:
        return addition
    if NAMES not in {field.name for field in plugins.fields("metric", metric)}:
        return addition
    if label not in classes:
        shown = f"{listed(classes[:_SHOWN])}{', …' if len(classes) > _SHOWN else ''}"
        raise NexusError(
            f"{where}: the label '{label}' is no class of this checkpoint. Its classes: {shown}. Name them so in the "
            "data, or write their numbers, from 0 on."
        )
    named = {"name": metric, "options": {NAMES: list(classes)}}
    return replace(addition, teacher=addition.teacher | {"metric": named})


def _check(reader: Reader, where: str, blueprint: Blueprint) -> Mapping[str, Any]:
    """The fields of the first sample to learn from."""
    first = next(iter(reader.samples("train")), None)
    if first is None:
        raise NexusError(f"{where}: the training part is empty. Name data that hold something.")
    _holds(first.fields, where, blueprint)
    if next(iter(reader.samples("held_out")), None) is None:
        raise NexusError(
            f"{where}: a tenth of the samples is held out to judge by, and of so few that differ that is none. "
            "Name more data."
        )
    return first.fields


def _holds(fields: Iterable[str], where: str, blueprint: Blueprint) -> None:
    if lacking := sorted(set(blueprint.takes) - set(fields)):
        raise NexusError(
            f"{where}: its samples hold {listed(sorted(fields))}, and this checkpoint takes "
            f"{listed(blueprint.takes)}. Name data with {listed(lacking)}, or write the card by hand and say under "
            f"`options: {{columns: ...}}` which column that is."
        )
