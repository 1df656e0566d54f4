"""Data sets that lie on a hub: at which commit a run reads them, and what of them is still to be fetched.

A reader with a method `origin` says it, and one with an option `revision` is held to the commit that it said: what the
first plan of a run directory found is pinned there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nexus_specs import Choice, NexusError, Origin, plain

from ..discovery import Plugins
from ..store import text_hash

OPTION = "revision"
"""The option that holds a reader to a commit."""


class DataSets:
    """The data sets of one plan, by the teacher that learns from them."""

    def __init__(self, plugins: Plugins, pins: Mapping[str, str]) -> None:
        self.plugins = plugins
        self.pins = dict(pins)
        self.origins: dict[str, Origin] = {}
        self._known: dict[str, Origin | None] = {}

    def pinned(self, teacher: str, choice: Choice) -> Choice:
        """The reader of a teacher, held to one commit; as it is where its data are on this machine."""
        if OPTION not in {field.name for field in self.plugins.fields("reader", choice.name)}:
            return choice
        key = text_hash(json.dumps([choice.name, plain(choice.options)], sort_keys=True, default=str))[:16]
        if key not in self._known:
            options = {**choice.options, OPTION: choice.options.get(OPTION) or self.pins.get(key, "")}
            self._known[key] = origin_of(self.plugins.make("reader", choice.name, **options))
        origin = self._known[key]
        if origin is None:
            return choice
        self.origins[teacher], self.pins[key] = origin, origin.commit
        return replace(choice, options={**choice.options, OPTION: origin.commit})


def origin_of(reader: Any) -> Origin | None:
    """Where the data of a reader lie, if they are not on this machine and it can tell. Raises NexusError."""
    found = getattr(reader, "origin", None)
    try:
        origin: Origin | None = found() if found else None
    except OSError as error:
        raise NexusError(f"The data cannot be looked up: {error}") from error
    return origin
