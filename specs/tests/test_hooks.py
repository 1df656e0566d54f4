"""Hooks: one for each kind, and events; a plugin module registers as it is."""

import doctest
import importlib
from pkgutil import iter_modules
from types import ModuleType

import nexus_specs
import pluggy
import pytest
from nexus_specs import KINDS, PROJECT, Component, Hooks, MetricComponent, hookimpl

MODULES = [name for name in (module.name for module in iter_modules(nexus_specs.__path__)) if name != "testing"]


@pytest.fixture
def manager():
    made = pluggy.PluginManager(PROJECT)
    made.add_hookspecs(Hooks)
    return made


def test_every_kind_has_a_hook_and_a_descriptor():
    for kind, (hook, descriptor) in KINDS.items():
        assert hook.startswith("nexus_"), kind
        assert hasattr(Hooks, hook), kind
        assert issubclass(descriptor, Component), kind


def test_every_hook_is_registration_or_event(manager):
    hooks = {name for name in vars(Hooks) if name.startswith("nexus_")}
    events = {name for name in hooks if name.startswith("nexus_unit_")}
    assert hooks - events == {hook for hook, _ in KINDS.values()}
    assert {name for name in hooks if hasattr(manager.hook, name)} == hooks


def test_a_module_is_a_plugin(manager):
    plugin = ModuleType("plugin")
    plugin.nexus_metrics = hookimpl(
        lambda: iter([MetricComponent(name="degrees", target="m:D", summary="Distance in degrees")])
    )
    manager.register(plugin, name="thermal")
    manager.check_pending()
    ((found,),) = manager.hook.nexus_metrics()
    assert found.name == "degrees"


def test_events_reach_every_observer(manager, tmp_path):
    seen = []

    class Observer:
        @hookimpl
        def nexus_unit_finished(self, unit, error):
            seen.append((unit.name, error))

    manager.register(Observer())
    unit = nexus_specs.Unit(stage="train", subject="prose", fingerprint="0")
    manager.hook.nexus_unit_finished(unit=unit, run=tmp_path, error="")
    assert seen == [("train/prose", "")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(f"nexus_specs.{name}")).failed == 0


def test_everything_of_the_contract_is_exported():
    assert {"Sample", "Tower", "Loss", "hookimpl", "NexusError", "Verdict"} <= set(nexus_specs.__all__)
    assert not [name for name in nexus_specs.__all__ if name.startswith("_")]
