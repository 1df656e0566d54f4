"""The conformance kit: a base class for each kind of component, which an author inherits and runs with pytest.

    import nexus_thermal.plugin as plugin
    from nexus_specs.testing import MetricTests, PluginTests

    class TestPlugin(PluginTests):
        plugin = plugin

    class TestDegrees(MetricTests):
        plugin = plugin
        name = "degrees"

        def samples(self): ...
        def outputs(self): ...

Each check is a plain function too (`nexus_specs.testing.metric.check_rows`), which raises an AssertionError that says
what to do. Needs the extra `nexus-specs[testing]`.
"""

# ruff: noqa: E402 (asserts are rewritten in modules that are imported after this call alone)

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))

from .architecture import ArchitectureTests
from .base import ComponentTests
from .blueprints import blueprint
from .command import CommandTests
from .context import ListSink, LocalContext
from .dataset import DatasetTests
from .engine import EngineTests
from .executor import ExecutorTests
from .loss import LossTests
from .metric import MetricTests
from .plugins import PluginTests
from .profiler import ProfilerTests
from .reader import ReaderTests
from .registry import RegistryTests
from .samples import sample
from .stage import StageTests
from .student import StudentTests
from .tower import TowerTests

__all__ = [
    "ArchitectureTests",
    "CommandTests",
    "ComponentTests",
    "DatasetTests",
    "EngineTests",
    "ExecutorTests",
    "ListSink",
    "LocalContext",
    "LossTests",
    "MetricTests",
    "PluginTests",
    "ProfilerTests",
    "ReaderTests",
    "RegistryTests",
    "StageTests",
    "StudentTests",
    "TowerTests",
    "blueprint",
    "sample",
]
