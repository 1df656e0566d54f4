"""The conformance kit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import nexus_engine_sli.plugin as plugin
import pytest
from nexus_specs import Checkpoint, Sample
from nexus_specs.testing import EngineTests, PluginTests


class TestPlugin(PluginTests):
    plugin = plugin


class TestSli(EngineTests):
    plugin = plugin
    name = "sli"
    builder = "decoder"

    @pytest.fixture(autouse=True)
    def _inputs(
        self, opened: Callable[[str], Checkpoint], inputs: Callable[[str], Sequence[Sample]]
    ) -> None:
        self.opened, self.inputs = opened, inputs

    def checkpoint(self) -> Checkpoint:
        return self.opened(self.builder)

    def samples(self) -> Sequence[Sample]:
        return self.inputs(self.builder)


class TestSliOnPictures(TestSli):
    builder = "pictures"
