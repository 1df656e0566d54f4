"""The components that are installed here, for a release that answers without the host. Diagnosis is the host's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any

import pluggy

from .checkpoints import Checkpoint
from .components import Component, resolve
from .hooks import ENTRY_POINTS, KINDS, PROJECT, Hooks
from .keeping import unchanged
from .models import Blueprint
from .teachers import Architecture
from .work import Lookup, NexusError

STOPS = (KeyboardInterrupt, GeneratorExit)
"""What ends a program and is no fault of a file."""
WITHOUT = "NEXUS_WITHOUT"
"""Environment variable: names of plugins, or of their distributions, that are switched off, by commas."""


class Installed:
    """A `Lookup` over whatever imports, less what NEXUS_WITHOUT names, silent about what does not."""

    def components(self, kind: str) -> Mapping[str, Component]:
        """What is on offer, by name; the first of two equal names wins here, since only the host diagnoses."""
        offered: dict[str, Component] = {}
        for manager in _managers(os.environ.get(WITHOUT, "")):
            with _quietly():
                found = getattr(manager.hook, KINDS[kind][0])()
                offered = {component.name: component for each in found for component in each} | offered
        return offered

    def make(self, kind: str, name: str, **options: Any) -> Any:
        """The component, made with its options."""
        offered = self.components(kind)
        if name not in offered:
            raise NexusError(f"No {kind} is named '{name}' here. Available: {', '.join(sorted(offered)) or 'none'}.")
        with unchanged():
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
    claims, failed, said = claims_on(lookup, source)
    best = max((claim for claim, _ in claims.values()), default=0)
    names = [name for name, (claim, _) in claims.items() if claim == best]
    if best == 0 and said:
        raise NexusError(" ".join(said))
    if best == 0:
        tried = f"Tried: {', '.join(claims) or 'none is installed'}." + "".join(f" Failed: {each}." for each in failed)
        raise NexusError(f"No loader opens '{source}'. {tried}")
    if len(names) > 1:
        raise NexusError(f"Two loaders claim '{source}' alike: {' and '.join(names)}. Switch one off with --without.")
    return names[0], claims[names[0]][1]


def claims_on(lookup: Lookup, source: str) -> tuple[dict[str, tuple[int, Architecture]], list[str], list[str]]:
    """Claims by name; who failed, and of what; what is the matter with the source itself, in a loader's words (a
    repository on the hub that is closed, missing or out of reach), each once."""
    claims: dict[str, tuple[int, Architecture]] = {}
    failed: list[str] = []
    said: list[str] = []
    for name in sorted(lookup.components("architecture")):
        try:
            architecture = lookup.make("architecture", name)
        except (Exception, SystemExit) as error:
            failed.append(f"{name}: {error}")
            continue
        try:
            claims[name] = (architecture.match(source), architecture)
        except NexusError as error:
            said.append(str(error))
        except STOPS:
            raise
        except BaseException as error:                      # Rust's libraries panic with one
            failed.append(f"{name}: {error}")
    return claims, failed, list(dict.fromkeys(said))


@cache
def _managers(without: str) -> tuple[pluggy.PluginManager, ...]:
    """A manager for each plugin, by name, less those that are switched off: what one does wrong reaches no other."""
    blocked = {_normal(name) for name in without.split(",") if name.strip()}
    found = []
    for name, owner, point in sorted(_points(), key=lambda each: each[:2]):
        if not {_normal(name), _normal(owner)} & blocked:
            manager = pluggy.PluginManager(PROJECT)
            manager.add_hookspecs(Hooks)
            with _quietly():
                manager.register(point.load(), name=name)
                found.append(manager)
    return tuple(found)


def _points() -> Iterator[tuple[str, str, EntryPoint]]:
    """(plugin, distribution, entry point) of every plugin; a distribution whose files are damaged has none. The first
    of two copies of one distribution counts, as it does for `import`."""
    seen: set[str] = set()
    for distribution in distributions():
        owner, points = "", list[EntryPoint]()
        with _quietly():
            points = [point for point in distribution.entry_points if point.group == ENTRY_POINTS]
            owner = str(distribution.metadata["Name"] or "")
        if not owner or _normal(owner) not in seen:
            yield from ((point.name, owner, point) for point in points)
        seen.add(_normal(owner))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@contextmanager
def _quietly() -> Iterator[None]:
    """Leaves out what raises, be it SystemExit or what a library in another language panics with."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException:
        return
