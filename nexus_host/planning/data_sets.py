"""Data sets that lie on a hub: at which commit a run reads them, and what of them is still to be fetched.

A reader with a method `origin` says it, and one with an option `revision` is held to the commit that it said: what the
first plan of a run directory found is pinned there. With a method `latest` it says the commit that its name has now.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from nexus_specs import Choice, NexusError, Origin, Split, plain

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
        self.moved: dict[str, str] = {}
        """Teacher -> the commit that its data have by now, where that is not the one to which they are held."""
        self._known: dict[str, Origin | None] = {}
        self._news: dict[str, str] = {}
        self._readers: dict[str, Choice] = {}

    def _latest(self, choice: Choice) -> str:
        """The commit that the data of a reader have now; "" where it cannot tell."""
        found = getattr(self.plugins.make("reader", choice.name, **choice.options), "latest", None)
        return str(found()) if found else ""

    def pinned(self, teacher: str, choice: Choice) -> Choice:
        """The reader of a teacher, held to one commit; as it is where its data are on this machine."""
        if OPTION not in {field.name for field in self.plugins.fields("reader", choice.name)}:
            return choice
        key = text_hash(json.dumps([choice.name, plain(choice.options)], sort_keys=True, default=str))[:16]
        if key not in self._known:
            options = {**choice.options, OPTION: choice.options.get(OPTION) or self.pins.get(key, "")}
            self._known[key] = origin_of(self.plugins.make("reader", choice.name, **options))
            if self._known[key] and options[OPTION] != choice.options.get(OPTION, ""):
                self._news[key] = self._latest(choice)
        origin = self._known[key]
        if origin is None:
            return choice
        self.origins[teacher], self.pins[key] = origin, origin.commit
        self._readers[teacher] = replace(choice, options={**choice.options, OPTION: origin.commit})
        if self._news.get(key, "") not in ("", origin.commit):
            self.moved[teacher] = self._news[key]
        return self._readers[teacher]

    def read(self, splits: Mapping[str, Collection[Split]]) -> Mapping[str, Origin]:
        """The origins, each with no more than the parts that are read of it, by teacher."""
        return {teacher: self._of(teacher, tuple(splits.get(teacher, ()))) for teacher in self.origins}

    def _of(self, teacher: str, splits: tuple[Split, ...]) -> Origin:
        choice, whole = self._readers[teacher], self.origins[teacher]
        if not splits:
            return replace(whole, bytes=0, missing=0, rows=0)
        return origin_of(self.plugins.make("reader", choice.name, **choice.options), splits) or whole


def origin_of(reader: Any, splits: Collection[Split] = ()) -> Origin | None:
    """Where the data of a reader lie, if they are not on this machine and it can tell: all of them, or some parts where
    it can tell that, too. Raises NexusError."""
    found = getattr(reader, "origin", None)
    some = {"splits": splits} if found and splits and "splits" in inspect.signature(found).parameters else {}
    try:
        origin: Origin | None = found(**some) if found else None
    except OSError as error:
        raise NexusError(f"The data cannot be looked up: {error}") from error
    return origin
