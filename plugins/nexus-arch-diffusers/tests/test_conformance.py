"""The conformance kit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nexus_arch_diffusers.plugin as plugin
import pytest
from nexus_specs import Sample
from nexus_specs.testing import ArchitectureTests, PluginTests


class TestPlugin(PluginTests):
    plugin = plugin


class TestDiffusers(ArchitectureTests):
    plugin = plugin
    name = "diffusers"

    @pytest.fixture(autouse=True)
    def _inputs(self, saved: Callable[[str], Path], prompts: list[Sample]) -> None:
        self.made, self.texts = [str(saved("sd3")), str(saved("sd15"))], prompts

    def sources(self) -> Sequence[str]:
        return self.made

    def samples(self) -> Sequence[Sample]:
        return self.texts
