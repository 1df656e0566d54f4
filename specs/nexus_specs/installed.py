"""The components that are installed here, for a release that answers without the host. Diagnosis is the host's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import pluggy

from .components import Component, resolve
from .hooks import ENTRY_POINTS, KINDS, PROJECT, Hooks
from .models import Blueprint
from .teachers import Architecture, Checkpoint
from .work import Lookup, NexusError


class Installed:
    """A `Lookup` over whatever imports, silent about what does not."""

    def components(self, kind: str) -> Mapping[str, Component]:
        """What is on offer, by name; the first of two equal names wins here, since only the host diagnoses."""
        hook = getattr(_manager().hook, KINDS[kind][0])
        return {component.name: component for found in hook() for component in found}

    def make(self, kind: str, name: str, **options: Any) -> Any:
        """The component, made with its options."""
        offered = self.components(kind)
        if name not in offered:
            raise NexusError(f"No {kind} is named '{name}' here. Available: {', '.join(sorted(offered)) or 'none'}.")
        return resolve(offered[name].target)(**options)

    def inspect(self, source: str) -> Blueprint:
        """What a checkpoint is."""
        return loader(self, source)[1].inspect(source)

    def open(self, source: str) -> Checkpoint:
        """The checkpoint."""
        return loader(self, source)[1].open(source, self)


def loader(lookup: Lookup, source: str) -> tuple[str, Architecture]:
    """The loader with the highest claim, and its name. None, or two that claim alike, is an error that says so; one
    that is broken stops no other, and is named where nothing else opens the source."""
    claims: dict[str, tuple[int, Architecture]] = {}
    failed: list[str] = []
    for name in sorted(lookup.components("architecture")):
        try:
            architecture = lookup.make("architecture", name)
            claims[name] = (architecture.match(source), architecture)
        except (Exception, SystemExit) as error:
            failed.append(f"{name}: {error}")
    best = max((claim for claim, _ in claims.values()), default=0)
    names = [name for name, (claim, _) in claims.items() if claim == best]
    if best == 0:
        tried = f"Tried: {', '.join(claims) or 'none is installed'}." + "".join(f" Failed: {each}." for each in failed)
        raise NexusError(f"No loader opens '{source}'. {tried}")
    if len(names) > 1:
        raise NexusError(f"Two loaders claim '{source}' alike: {' and '.join(names)}. Switch one off with --without.")
    return names[0], claims[names[0]][1]


@cache
def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        with suppress(Exception, SystemExit):
            manager.register(point.load(), name=point.name)
    return manager
