"""What every class of the kit shares: where the component comes from, and that its standard tests stay standard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar

import pytest

from ..components import Component, resolve
from .descriptors import check_descriptor, check_options, check_target, descriptors, find


class StandardTests:
    """A subclass may add tests; a standard one it may only expect to fail, with a reason."""

    folder: Path
    """A fresh folder of the running test."""

    @pytest.fixture(autouse=True)
    def _fresh_folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def test_standard_tests_are_not_replaced(self) -> None:
        check_overrides(type(self))


class ComponentTests(StandardTests):
    """One component of a plugin. `plugin` is its `plugin.py` as a module, `name` the component's name."""

    kind: ClassVar[str]
    plugin: ClassVar[ModuleType]
    name: ClassVar[str]
    options: Mapping[str, Any] = MappingProxyType({})
    """What the component is made with."""

    def descriptor(self) -> Component:
        """The component's descriptor, found in the plugin."""
        return find(descriptors(self.plugin), self.kind, self.name)

    def component(self) -> Any:
        """The component, made; override it where it takes more than `options`."""
        return resolve(self.descriptor().target)(**self.options)

    def test_descriptor_is_complete(self) -> None:
        check_descriptor(self.kind, self.descriptor())

    def test_target_takes_its_options(self) -> None:
        check_target(self.kind, self.descriptor())
        check_options(self.descriptor())


def check_overrides(tests: type) -> None:
    """No test of the kit is replaced, except by one that is marked `xfail(reason=...)`."""
    for name in dir(tests):
        if not name.startswith("test_"):
            continue
        found = next(kind for kind in tests.__mro__ if name in vars(kind))
        owners = [kind for kind in tests.__mro__ if name in vars(kind) and _of_the_kit(kind)]
        if owners and not _of_the_kit(found):
            marks = getattr(vars(found)[name], "pytestmark", [])
            excused = any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks)
            assert excused, (
                f"{tests.__name__}.{name} replaces a standard test of {owners[0].__name__}. Give yours another name, "
                f"or mark it @pytest.mark.xfail(reason='why this component cannot hold it')."
            )


def _of_the_kit(kind: type) -> bool:
    return kind.__module__.startswith(__package__ or "nexus_specs.testing")
