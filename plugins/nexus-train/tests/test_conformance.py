"""The conformance kit over the plugin and its stages."""

from __future__ import annotations

import nexus_train.plugin as plugin
from nexus_specs.testing import PluginTests, StageTests


class TestPlugin(PluginTests):
    plugin = plugin


class TestCore(StageTests):
    plugin = plugin
    name = "core"


class TestCoreControl(StageTests):
    plugin = plugin
    name = "core-control"


class TestTrain(StageTests):
    plugin = plugin
    name = "train"


class TestControl(StageTests):
    plugin = plugin
    name = "control"
