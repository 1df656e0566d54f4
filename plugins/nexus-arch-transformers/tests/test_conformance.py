"""The conformance kit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nexus_arch_transformers.plugin as plugin
import pytest
from nexus_specs import Sample
from nexus_specs.testing import ArchitectureTests, PluginTests


class TestPlugin(PluginTests):
    plugin = plugin


class TestTransformers(ArchitectureTests):
    plugin = plugin
    name = "transformers"

    @pytest.fixture(autouse=True)
    def _inputs(self, checkpoint_folder: Callable[[str], Path], texts: list[Sample]) -> None:
        self.made, self.texts = [str(checkpoint_folder(name)) for name in ("tied", "experts")], texts

    def sources(self) -> Sequence[str]:
        return self.made

    def samples(self) -> Sequence[Sample]:
        return self.texts
