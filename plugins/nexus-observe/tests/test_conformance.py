"""The conformance kit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nexus_observe.plugin as plugin
import pytest
from nexus_specs.testing import CommandTests, LocalContext, PluginTests, StageTests


class TestPlugin(PluginTests):
    plugin = plugin


class Prepared(StageTests):
    plugin = plugin
    before: tuple[str, ...] = ()

    @pytest.fixture(autouse=True)
    def _bench(self, bench: Any) -> None:
        for stage in self.before:
            bench.run(stage, "digits")
        self.bench = bench

    def context(self, folder: Path) -> LocalContext:
        found: LocalContext = self.bench.context(self.name, "digits", folder)
        return found


class TestProfile(Prepared):
    name = "profile"


class TestExtract(Prepared):
    name = "extract"
    before = ("profile",)


class TestScore(Prepared):
    name = "score"


class TestEvaluate(StageTests):
    plugin = plugin
    name = "evaluate"


class TestVerify(CommandTests):
    plugin = plugin
    name = "verify"

    def wrong(self) -> Mapping[str, Any]:
        return {"release": Path("no/such/release")}


class TestEvaluateCommand(CommandTests):
    plugin = plugin
    name = "evaluate"

    def wrong(self) -> Mapping[str, Any]:
        return {"release": Path("no/such/release")}


class TestTaps(CommandTests):
    plugin = plugin
    name = "taps"

    def wrong(self) -> Mapping[str, Any]:
        return {"source": "no/such/teacher", "data": "no/such/data"}
