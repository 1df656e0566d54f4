"""Checks of a plugin as a whole: its module, its hooks, its descriptors."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pluggy

from ..hooks import ENTRY_POINTS, PROJECT, Hooks
from .base import StandardTests
from .descriptors import check_descriptor, check_options, check_target, descriptors
from .light import check_arrows, check_light

MARK = f"{PROJECT}_impl"
KNOWN = tuple(name for name in vars(Hooks) if name.startswith("nexus_"))


def check_hooks(plugin: ModuleType) -> None:
    """Every hook exists, is marked, and takes arguments that the specification has."""
    for name, function in vars(plugin).items():
        marked = getattr(function, MARK, None) is not None
        close = get_close_matches(name, KNOWN, n=1)
        assert not marked or name in KNOWN, (
            f"'{name}' is no hook of Nexus. "
            f"{f'Did you mean {close[0]!r}?' if close else 'Hooks: ' + ', '.join(KNOWN) + '.'}"
        )
        assert marked or name not in KNOWN, f"'{name}' is not marked as a hook. Decorate it with @hookimpl."
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    try:
        manager.register(plugin)
    except pluggy.PluginValidationError as error:
        raise AssertionError(f"pluggy refuses the plugin: {error}. Take the arguments that docs/hooks has.") from error


def check_yields(plugin: ModuleType) -> None:
    """It offers something, the same each time, and no name twice in a kind."""
    offered = descriptors(plugin)
    events = [name for name in KNOWN if "_unit_" in name and hasattr(plugin, name)]
    assert events or any(offered.values()), (
        "The plugin offers nothing. Write a hook that yields a descriptor, as in "
        "`@hookimpl def nexus_metrics(): yield MetricComponent(name=…, target=…, summary=…)`."
    )
    assert offered == descriptors(plugin), (
        "The hooks yield other descriptors when they are called again. Yield constants: what is on offer may not "
        "depend on the machine or the moment (what a component requires goes into `requires`)."
    )
    for kind, components in offered.items():
        twice = [name for name, count in Counter(component.name for component in components).items() if count > 1]
        assert not twice, f"The plugin yields two components of kind {kind} named {', '.join(twice)}. Rename one."


def check_entry_point(plugin: ModuleType) -> None:
    """An installed distribution names the module, so that the host finds it."""
    found = {point.value for point in entry_points(group=ENTRY_POINTS)}
    assert plugin.__name__ in found, (
        f"No installed distribution names '{plugin.__name__}'. Write into pyproject.toml "
        f'`[project.entry-points."{ENTRY_POINTS}"]` and below it `NAME = "{plugin.__name__}"`, then `pip install -e .`.'
    )


class PluginTests(StandardTests):
    """The plugin as a whole; once for each distribution."""

    plugin: ClassVar[ModuleType]

    def test_hooks_are_known(self) -> None:
        check_hooks(self.plugin)

    def test_it_offers_something_once(self) -> None:
        check_yields(self.plugin)

    def test_descriptors_are_complete(self) -> None:
        for kind, components in descriptors(self.plugin).items():
            for component in components:
                check_descriptor(kind, component)

    def test_targets_resolve(self) -> None:
        for kind, components in descriptors(self.plugin).items():
            for component in components:
                check_target(kind, component)

    def test_options_explain_themselves(self) -> None:
        for components in descriptors(self.plugin).values():
            for component in components:
                check_options(component)

    def test_listing_it_imports_nothing_heavy(self) -> None:
        check_light([self.plugin.__name__], f"The plugin module {self.plugin.__name__}")

    def test_options_import_nothing_heavy(self) -> None:
        offered = [component for components in descriptors(self.plugin).values() for component in components]
        modules = sorted({component.options.partition(":")[0] for component in offered if component.options})
        if modules:
            check_light(modules, f"The options ({', '.join(modules)})")

    def test_it_imports_no_host_and_no_other_plugin(self) -> None:
        check_arrows(Path(self.plugin.__file__ or "").parent)

    def test_it_is_found(self) -> None:
        check_entry_point(self.plugin)
