"""A look at the data before a card is written: what a run would only find minutes later."""

from __future__ import annotations

from pathlib import Path

from nexus_specs import Blueprint, NexusError, Reader

from ..discovery import Plugins
from ..registry.places import absolute
from ..words import listed
from .composing import Addition


def look(addition: Addition, blueprint: Blueprint, plugins: Plugins, home: Path) -> None:
    """Raises NexusError where new data cannot be read, are empty, or lack what the checkpoint takes."""
    for name, card in addition.data.items():
        options = {"path": absolute(card["options"]["path"], home)}
        reader: Reader = plugins.make("reader", card["reader"], **options)
        first = next(iter(reader.samples("train")), None)
        where = f"data '{name}' ({options['path']}, reader {card['reader']})"
        if first is None:
            raise NexusError(f"{where}: the training part is empty. Name data that hold something.")
        if lacking := sorted(set(blueprint.takes) - set(first.fields)):
            raise NexusError(
                f"{where}: its samples hold {listed(sorted(first.fields))}, and this checkpoint takes "
                f"{listed(blueprint.takes)}. Name data with {listed(lacking)}, or write the card by hand and say under "
                f"`options: {{columns: ...}}` which column that is."
            )
