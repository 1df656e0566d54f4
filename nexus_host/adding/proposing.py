"""The data that `nexus add` proposes where the user names none: a teacher's with such a tower, the tower's own word, or
the one set of a catalogue that has what the checkpoint takes and as many classes as it tells apart."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from nexus_specs import Blueprint, NexusError, TowerComponent

from ..discovery import Plugins
from ..discovery.opening import is_here
from ..environment import variable
from ..planning.data_sets import origin_of
from ..registry import RegistryModel
from ..registry.catalogued import MEDIA, Catalogue
from ..words import listed

OFFLINE = "HF_HUB_OFFLINE"
"""Environment variable that every tool of the hub obeys."""


def sibling(component: str, blueprint: Blueprint, plugins: Plugins, model: RegistryModel) -> str:
    """The data of the first teacher with such a tower; where labels are learned, one that tells as many classes apart.
    "" for none."""
    for card in model.teachers.values():
        alike = card.tower in model.towers and model.towers[card.tower].component == component
        if alike and card.data and (not blueprint.classes or _classes(card.source, plugins) == len(blueprint.classes)):
            return card.data
    return ""


def _classes(source: str, plugins: Plugins) -> int:
    """How many classes a checkpoint on this machine tells apart; 0 where that cannot be told."""
    try:
        return len(plugins.inspect(source).classes) if is_here(source) else 0
    except NexusError:
        return 0


def proposed(tower: TowerComponent, blueprint: Blueprint, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """What a tower proposes for a checkpoint, else the set of the catalogue that fits; "" for none. NexusError with
    their names where several do."""
    count = len(blueprint.classes)
    if tower.data and _counts(rows.get(tower.data, {}), count):
        return tower.data
    found = [name for name, row in rows.items() if count and row.get("classes") == count and _labels(row, tower)]
    if len(found) > 1:
        raise NexusError(
            f"Several known sets of data have {count} classes: {listed(found)}. Choose one with --data NAME, or name "
            "your own with --data FILE."
        )
    return found[0] if found else ""


def _counts(row: Mapping[str, Any], count: int) -> bool:
    """Whether a set has as many classes as a checkpoint, as far as both say."""
    return not count or row.get("classes", count) in (0, count)


def _labels(row: Mapping[str, Any], tower: TowerComponent) -> bool:
    """Whether a set has labels and what a tower takes, and nothing else to see or hear."""
    columns = set(row.get("columns", ()))
    return {*tower.takes, "label"} <= columns and columns & MEDIA == set(tower.takes) & MEDIA


def told(row: Mapping[str, Any]) -> str:
    """What a set of a catalogue is: where it lies, how large it is, its licence."""
    said = [str(row[name]) for name in ("id", "size") if row.get(name)]
    said += [f"licence: {row['licence']}"] if row.get("licence") else []
    return "; ".join([*said, *(["its owner asks for agreement first"] if row.get("gated") else [])])


def fetched(name: str, plugins: Plugins) -> bool:
    """Whether enough of a set of the catalogue is on this machine to plan with, without asking anybody."""
    row = Catalogue(plugins).rows[name]
    try:
        with unasked():
            origin_of(plugins.make("reader", row["reader"], **row["options"]))
    except NexusError:
        return False
    return True


def unasked() -> AbstractContextManager[None]:
    """No hub is asked by this process or one that it starts: the user has not named anything that lies there."""
    return variable(OFFLINE, "1")
