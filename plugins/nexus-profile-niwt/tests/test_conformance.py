"""The conformance kit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import nexus_profile_niwt.plugin as plugin
import pytest
from nexus_specs import Installed, Metric, Sample, Teacher
from nexus_specs.testing import PluginTests, ProfilerTests


class TestPlugin(PluginTests):
    plugin = plugin


class TestNiwt(ProfilerTests):
    plugin = plugin
    name = "niwt"

    @pytest.fixture(autouse=True)
    def _inputs(self, opening: Any, decoder: Path, texts: list[Sample]) -> None:
        self.opening, self.source, self.texts = opening, decoder, texts

    def teacher(self) -> AbstractContextManager[Teacher]:
        return self.opening(self.source)  # type: ignore[no-any-return]

    def samples(self) -> Sequence[Sample]:
        return self.texts

    def metric(self) -> Metric:
        return Installed().make("metric", "bits_per_byte")  # type: ignore[no-any-return]
