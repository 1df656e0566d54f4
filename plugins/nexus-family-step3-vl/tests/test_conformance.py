"""The conformance kit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import nexus_family_step3_vl.plugin as plugin
import pytest
from nexus_specs import Sample
from nexus_specs.testing import ArchitectureTests, PluginTests


class TestPlugin(PluginTests):
    plugin = plugin


class TestStep3VL(ArchitectureTests):
    plugin = plugin
    name = "step3-vl"

    @pytest.fixture(autouse=True)
    def _inputs(self, tiny: Callable[[str], Any]) -> None:
        self.row, _, self.made, _ = tiny("step3-vl-10b")

    def sources(self) -> Sequence[str]:
        return [self.made]

    def samples(self) -> Sequence[Sample]:
        return self.row.samples()
