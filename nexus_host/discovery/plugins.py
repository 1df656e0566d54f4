"""`Plugins`: the host's `Lookup`, with provenance. Imports `plugin.py` files; a component's own module on first use."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import groupby
from typing import Any

from nexus_specs import KINDS, Blueprint, Checkpoint, Component, NexusError, Origin, StageComponent, resolve, unchanged
from nexus_specs.installed import WITHOUT
from packaging.requirements import Requirement

from ..words import did_you_mean, listed
from . import catalogues, loading, opening, options, targets
from .options import OptionField
from .points import Point, normal, points, unmet
from .records import Plugin, Provider

_INSTEAD = {"tower": "give the tower another component"}
"""What can be done about a component that there is not, beside naming another one."""
Offer = tuple[Plugin, Component]


class UnknownPluginError(NexusError):
    """A plugin to leave out that there is not."""

    exit_code = 2


class Plugins:
    """Every plugin that is installed, what became of it, and the components of those that loaded.

    >>> Plugins.discover(without=["acme"]).components("tower")            # doctest: +SKIP
    {'text': TowerComponent(name='text', ...)}
    """

    def __init__(self, found: Iterable[Plugin]) -> None:
        self.found: Mapping[str, Plugin] = {plugin.name: plugin for plugin in found}
        """Every entry point by name, loaded or not."""
        self._quiet: set[tuple[str, str]] = set()
        self._fields: dict[tuple[str, str], tuple[OptionField, ...]] = {}

    @classmethod
    def discover(cls, without: Iterable[str] = ()) -> Plugins:
        """Loads what is installed, less `without` and NEXUS_WITHOUT (names of plugins or of their distributions).

        Raises NexusError for a name in `without` that nothing has; the environment may name what is not here.
        """
        named, everywhere = tuple(without), os.environ.get(WITHOUT, "").split(",")
        blocked = {name.strip(): WITHOUT for name in everywhere if name.strip()} | dict.fromkeys(named, "--without")
        every = points()
        known = {point.entry.name for point in every} | {point.owner for point in every}
        for name in named:
            if normal(name) not in {normal(each) for each in known}:
                near, names = did_you_mean(name, known), listed(sorted({point.entry.name for point in every}))
                raise UnknownPluginError(f"--without: no plugin is named '{name}'.{near} Plugins: {names}.")
        return cls(_found(every, {normal(name): who for name, who in blocked.items()}))

    @cached_property
    def _offers(self) -> Mapping[str, Mapping[str, list[Offer]]]:
        offers: dict[str, dict[str, list[Offer]]] = {kind: {} for kind in KINDS}
        for plugin in self.found.values():
            for kind, component in plugin.components:
                offers[kind].setdefault(component.name, []).append((plugin, component))
        return offers

    def components(self, kind: str) -> Mapping[str, Component]:
        """What is on offer, by name, sorted. A name that two plugins offer is left out: see `doubles`."""
        offers = self._kind(kind)
        return {name: offers[name][0][1] for name in sorted(offers) if len(offers[name]) == 1}

    def doubles(self, kind: str) -> Mapping[str, str]:
        """Names that more than one plugin offers, with who does: they fail where they are used, nothing else does."""
        offers = self._kind(kind)
        return {name: listed(plugin.title for plugin, _ in each) for name, each in offers.items() if len(each) > 1}

    def component(self, kind: str, name: str) -> Component:
        """One descriptor. Raises NexusError with what is on offer."""
        return self._offer(kind, name)[1]

    def _kind(self, kind: str) -> Mapping[str, list[Offer]]:
        if kind not in KINDS:
            raise NexusError(f"'{kind}' is no kind of component.{did_you_mean(kind, KINDS)} Kinds: {listed(KINDS)}.")
        return self._offers[kind]

    def _offer(self, kind: str, name: str) -> Offer:
        offers = self._kind(kind).get(name, [])
        if len(offers) == 1:
            return offers[0]
        if offers:
            raise NexusError(
                f"Two plugins offer the {kind} '{name}': {self.doubles(kind)[name]}. Neither is used; "
                "uninstall one, or switch one off with --without."
            )
        known = self.components(kind)
        near, instead = did_you_mean(name, known), _INSTEAD.get(kind, "name another")
        more = self.absent() + ("" if near else f" Install the plugin that brings it, or {instead}.")
        raise NexusError(f"No {kind} is named '{name}'.{near} Available: {listed(known)}.{more}")

    def absent(self) -> str:
        """A sentence that names the plugins that did not load; empty where all did."""
        absent = [f"{plugin.name} ({plugin.state})" for plugin in self.found.values() if plugin.state != "loaded"]
        return f" Not loaded: {listed(absent)}; see `nexus doctor`." if absent else ""

    def provider(self, kind: str, name: str) -> Provider:
        """Where a component comes from. Raises NexusError as `component`."""
        plugin, component = self._offer(kind, name)
        modules = plugin.module, component.target.partition(":")[0]
        return Provider(
            plugin=plugin.name,
            distribution=plugin.distribution,
            version=plugin.version,
            editable=plugin.editable,
            files=targets.files({module.partition(".")[0] for module in modules}),
        )

    def fields(self, kind: str, name: str) -> tuple[OptionField, ...]:
        """The fields of a component's options; () where it takes none."""
        if (kind, name) not in self._fields:
            self._fields[kind, name] = options.read_fields(self.component(kind, name).options)
        return self._fields[kind, name]

    def flags(self) -> list[tuple[str, OptionField]]:
        """(stage, field) of every stage option that is a switch of `nexus run`."""
        stages = self.components("stage")
        return [(stage, field) for stage in stages for field in self.fields("stage", stage) if field.flag]

    def option_problems(self, kind: str, name: str, given: Mapping[str, Any]) -> list[options.Problem]:
        """Every mistake in options for a component: (path below the options, message)."""
        return options.problems(self.fields(kind, name), given)

    def options(self, kind: str, name: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A component's options, complete and in their types. Raises NexusError with every mistake."""
        found = self.option_problems(kind, name, given or {})
        if found:
            lines = "\n".join(f"  {path}: {message}" for path, message in found)
            raise NexusError(f"Options of the {kind} '{name}':\n{lines}")
        return options.complete(self.fields(kind, name), given or {})

    def make(self, kind: str, name: str, **given: Any) -> Any:
        """A component, made with its options, complete; a stage without any, since its context brings them.

        Raises NexusError: unknown name, wrong option, what has to be installed first, a target that cannot be imported.
        """
        plugin, component = self._offer(kind, name)
        with unchanged():
            target = self._target(kind, plugin, component)
            if kind == "stage":
                return target()
            return target(**(self.options(kind, name, given) if component.options else given))

    def unmet(self, kind: str, name: str) -> str:
        """What has to be installed before a component can be made, in words; "" where nothing has to."""
        plugin, component = self._offer(kind, name)
        for text in component.requires:
            if missing := unmet(Requirement(text)):
                return f"The {kind} '{name}' of {plugin.title} {missing}. Type: pip install '{text}'"
        return ""

    def unfound(self, kind: str, name: str) -> str:
        """A module that a component's target names and its plugin has not, in words; nothing is imported for it."""
        plugin, component = self._offer(kind, name)
        if not (missing := targets.missing(component.target)):
            return ""
        return f"The {kind} '{name}' of {plugin.title} is said to be {component.target}, and no module is {missing}"

    def _target(self, kind: str, plugin: Plugin, component: Component) -> Any:
        if said := self.unmet(kind, component.name):
            raise NexusError(said)
        try:
            return resolve(component.target)
        except (Exception, SystemExit) as error:
            raise NexusError(
                f"The {kind} '{component.name}' of {plugin.title} cannot be imported from "
                f"'{component.target}': {type(error).__name__}: {error}"
            ) from error

    def loader(self, source: str) -> str:
        """The name of the architecture that opens a source."""
        return opening.loader(self, source)[0]

    def inspect(self, source: str) -> Blueprint:
        """What a checkpoint is, through the loader whose claim is highest."""
        name, loader = opening.loader(self, source)
        return opening.asked(name, source, lambda: loader.inspect(source))

    def open(self, source: str) -> Checkpoint:
        """The checkpoint, likewise."""
        name, loader = opening.loader(self, source)
        return opening.asked(name, source, lambda: loader.open(source, self))

    def origin(self, source: str) -> Origin | None:
        """Where a source lies that is not on this machine; None for what is here, or where its loader cannot tell."""
        found: Callable[[str], Origin | None] | None = getattr(opening.loader(self, source)[1], "origin", None)
        return found(source) if found else None

    def latest(self, pinned: str, source: str) -> str:
        """The commit that a source has now whose pinned form is known; "" where its loader cannot tell."""
        found: Callable[[str], str] | None = getattr(opening.loader(self, pinned)[1], "latest", None)
        return found(source) if found else ""

    def catalogue(self, kind: str) -> list[dict[str, Any]]:
        """Rows of every architecture's `catalogue`, or of every dataset card, each with the component's name. A
        catalogue that fails gives one row with its error, and so does a row that is none."""
        return catalogues.catalogue(self, kind, lambda name: self.provider(kind, name).plugin)

    def notify(self, event: str, **arguments: Any) -> None:
        """Calls an event's observers, each alone: one that fails is named on stderr once and stops nothing."""
        for plugin in self.found.values():
            if plugin.manager is None:
                continue
            try:
                getattr(plugin.manager.hook, event)(**arguments)
            except (Exception, SystemExit) as error:
                if (plugin.name, event) not in self._quiet:
                    self._quiet.add((plugin.name, event))
                    print(f"The {event} observer of {plugin.title} failed: {error!r}", file=sys.stderr)

    def stages(self) -> Mapping[str, StageComponent]:
        """The stages, by name, in their own type."""
        return {name: each for name, each in self.components("stage").items() if isinstance(each, StageComponent)}


def _found(every: list[Point], blocked: Mapping[str, str]) -> Iterable[Plugin]:
    for name, group in groupby(every, key=lambda point: point.entry.name):
        same = list(group)
        free = [point for point in same if not _blocker(point, blocked)]
        if not free:
            yield loading.record(same[0], "blocked", f"by {_blocker(same[0], blocked)}")
        elif len(free) > 1:
            both = listed(f"{point.owner} {point.version}" for point in free)
            reason = f"two distributions bring a plugin '{name}': {both}. Neither is used; uninstall or block one"
            yield loading.record(free[0], "double", reason)
        else:
            yield loading.load(free[0])


def _blocker(point: Point, blocked: Mapping[str, str]) -> str:
    """What switched a plugin off, by its own name or its distribution's; empty when nothing did."""
    return blocked.get(normal(point.entry.name)) or blocked.get(normal(point.owner)) or ""
