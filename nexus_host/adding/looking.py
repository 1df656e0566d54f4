"""A look at the data before a card is written: what a run would only find minutes later."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from nexus_specs import Blueprint, NexusError, Reader

from ..discovery import Plugins
from ..registry import RegistryModel
from ..registry.catalogued import Catalogue
from ..registry.places import absolute
from ..words import listed
from .composing import Addition


def look(addition: Addition, blueprint: Blueprint, plugins: Plugins, model: RegistryModel, home: Path) -> None:
    """Raises NexusError where data cannot be read, lack what the checkpoint takes, or are too few to judge by. Of what
    lies elsewhere only the columns are looked at: nothing is fetched for it."""
    name = str(addition.teacher["data"])
    if name in addition.data:
        card = addition.data[name]
        path = absolute(card["options"]["path"], home)
        reader: Reader = plugins.make("reader", card["reader"], **{"path": path})
        _check(reader, f"data '{name}' ({path}, reader {card['reader']})", blueprint)
    elif name in model.data:
        entry = model.data[name]
        reader = plugins.make("reader", entry.reader, **entry.options)
        if not hasattr(reader, "origin"):
            _check(reader, f"data '{name}' (reader {entry.reader})", blueprint)
    elif columns := Catalogue(plugins).rows[name].get("columns"):
        _holds(columns, f"data '{name}'", blueprint)


def _check(reader: Reader, where: str, blueprint: Blueprint) -> None:
    first = next(iter(reader.samples("train")), None)
    if first is None:
        raise NexusError(f"{where}: the training part is empty. Name data that hold something.")
    _holds(first.fields, where, blueprint)
    if next(iter(reader.samples("held_out")), None) is None:
        raise NexusError(
            f"{where}: a tenth of the samples is held out to judge by, and of so few that differ that is none. "
            "Name more data."
        )


def _holds(fields: Iterable[str], where: str, blueprint: Blueprint) -> None:
    if lacking := sorted(set(blueprint.takes) - set(fields)):
        raise NexusError(
            f"{where}: its samples hold {listed(sorted(fields))}, and this checkpoint takes "
            f"{listed(blueprint.takes)}. Name data with {listed(lacking)}, or write the card by hand and say under "
            f"`options: {{columns: ...}}` which column that is."
        )
