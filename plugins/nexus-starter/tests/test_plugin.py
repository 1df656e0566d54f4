"""What the plugin registers; that registering imports nothing heavy is the kit's to check."""

from __future__ import annotations

from nexus_specs.testing import PluginTests, RegistryTests
from nexus_starter import plugin


class TestPlugin(PluginTests):
    plugin = plugin


class TestRegistry(RegistryTests):
    plugin = plugin
    name = "starter"
