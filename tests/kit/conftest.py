"""Runs a class of the kit on a component, as pytest would, and collects what it says."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from nexus_specs import KINDS, hookimpl

DEFAULTS: dict[str, dict[str, Any]] = {
    "tower": {"takes": ("image",), "gives": ("label",)},
    "stage": {"scope": "student"},
}


def plugin_of(kind: str, *components: Any) -> ModuleType:
    """A plugin module that yields these descriptors."""
    plugin = ModuleType("probe_plugin")
    setattr(plugin, KINDS[kind][0], hookimpl(lambda: list(components)))
    return plugin


@pytest.fixture
def suite() -> Callable[..., type]:
    """Makes a test class of the kit for a component: suite(MetricTests, Component, samples=…, outputs=…)."""

    def make(kit: Any, probe: Any, declared: dict[str, Any] | None = None, **members: Any) -> type:
        fields = {
            "name": "probe",
            "target": f"{probe.__module__}:{probe.__qualname__}",
            "summary": "A probe",
            **DEFAULTS.get(kit.kind, {}),
            **(declared or {}),
        }
        plugin = plugin_of(kit.kind, KINDS[kit.kind][1](**fields))
        return type("TestProbe", (kit,), {"plugin": plugin, "name": "probe", **members})

    return make


@pytest.fixture
def said(tmp_path: Path) -> Callable[[type], list[str]]:
    """What each standard test of a class has to say; a crash is told apart by its type's name."""

    def run(tests: Any) -> list[str]:
        messages = []
        for name in sorted(name for name in dir(tests) if name.startswith("test_")):
            case = tests()
            case.folder = tmp_path / name
            case.folder.mkdir()
            try:
                getattr(case, name)()
            except AssertionError as error:
                messages.append(str(error))
            except Exception as error:
                messages.append(f"crash in {name}: {type(error).__name__}: {error}")
        return messages

    return run


@pytest.fixture
def rejected(said: Callable[[type], list[str]]) -> Callable[[type, str], None]:
    """The kit rejects it, and one message has the advice."""

    def check(tests: type, advice: str) -> None:
        messages = said(tests)
        assert any(advice in message and not message.startswith("crash") for message in messages), messages

    return check


@pytest.fixture
def accepted(said: Callable[[type], list[str]]) -> Callable[[type], None]:
    """The kit has nothing to say."""

    def check(tests: type) -> None:
        assert said(tests) == []

    return check
