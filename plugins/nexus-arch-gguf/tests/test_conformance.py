"""The conformance kit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nexus_arch_gguf.plugin as plugin
import pytest
from nexus_specs import Sample
from nexus_specs.testing import ArchitectureTests, PluginTests


class TestPlugin(PluginTests):
    plugin = plugin


class TestGguf(ArchitectureTests):
    plugin = plugin
    name = "gguf"

    @pytest.fixture(autouse=True)
    def _inputs(self, written: Callable[..., Path], texts: list[Sample]) -> None:
        self.made, self.texts = [str(written(row)) for row in ("llama", "qwen3_moe")], texts

    def sources(self) -> Sequence[str]:
        return self.made

    def samples(self) -> Sequence[Sample]:
        return self.texts
