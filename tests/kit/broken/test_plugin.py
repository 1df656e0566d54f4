"""Whole plugins on disk: a good one, and broken ones that the kit rejects with advice."""

import importlib
import sys
from zlib import crc32

import pytest
from nexus_specs.testing import PluginTests
from nexus_specs.testing.plugins import check_entry_point

GOOD = '''\
"""A plugin."""
from nexus_specs import MetricComponent, hookimpl

@hookimpl
def nexus_metrics():
    yield MetricComponent(
        name="degrees", target="PACKAGE.metric:Degrees", summary="Mean distance in degrees",
        options="PACKAGE.options:Options",
    )
'''
OPTIONS = '''\
"""Options."""
from dataclasses import MISSING, dataclass
from nexus_specs import option

@dataclass
class Options:
    """Of the metric."""
    scale: float = option(1.0, help="Degrees in one unit")
'''
METRIC = '''\
"""The metric."""

class Degrees:
    """Distance in degrees."""

    def __init__(self, scale=1.0):
        self.scale = scale
'''
FILES = {"plugin.py": GOOD, "options.py": OPTIONS, "metric.py": METRIC}
BROKEN = [
    ("plugin.py", "def nexus_metrics", "def nexus_metric", "Did you mean 'nexus_metrics'?"),
    ("plugin.py", "@hookimpl\n", "", "Decorate it with @hookimpl"),
    ("plugin.py", "nexus_metrics()", "nexus_metrics(registry)", "pluggy refuses the plugin"),
    ("plugin.py", "    yield Metric", "    return\n    yield Metric", "The plugin offers nothing"),
    ("plugin.py", "from nexus", "import numpy\nfrom nexus", "imports numpy. It is imported by every `nexus` command"),
    ("options.py", "from nexus", "import numpy\nfrom nexus", "PACKAGE.options) imports numpy"),
    ("plugin.py", 'summary="Mean distance in degrees"', 'summary=""', "Say in one sentence what it does"),
    ("plugin.py", "Mean distance", "mean distance", "Begin with a capital"),
    ("plugin.py", "Mean distance", "Mean distance " * 20, "Use one line of at most"),
    ("plugin.py", '"degrees"', '"Degrees of arc"', "neither kebab-case nor snake_case"),
    ("plugin.py", '"degrees"', '"mean-of_degrees"', "but not by both"),
    ("plugin.py", "PACKAGE.metric:Degrees", "PACKAGE.metric.Degrees", "is not of the form 'module:attribute'"),
    ("plugin.py", "metric:Degrees", "metric:Degree", "Correct the module or the attribute"),
    ("plugin.py", "metric:Degrees", "metrics:Degrees", "Correct the module or the attribute"),
    ("plugin.py", "metric:Degrees", "metric:__doc__", "Name a class"),
    ("plugin.py", "options:Options", "options.Options", "are not of the form 'module:Dataclass'"),
    ("plugin.py", "MetricComponent(", "LossComponent(", "Yield a nexus_specs.MetricComponent"),
    ("plugin.py", "    )\n", "        requires=('>=2 numpy',),\n    )\n", "Write it as in PEP 508"),
    ("options.py", "@dataclass\n", "", "Decorate it with @dataclass"),
    ("options.py", 'option(1.0, help="Degrees in one unit")', "1.0", "has no help"),
    ("options.py", ' = option(1.0, help="Degrees in one unit")', "", "Give it one, an empty one if"),
    ("options.py", "scale: float", "factor: float", "Let each field of the options be a keyword"),
    ("metric.py", "class", "import nexus_host\n\nclass", "A plugin may import nexus_specs and nexus_torch"),
    ("metric.py", "class", "from nexus_metrics import bytes\n\nclass", "`context.make(kind, name)`"),
]


@pytest.fixture
def plugin(tmp_path, monkeypatch, request):
    """Writes a package with one file changed, and imports its plugin module."""
    name = "nexus_probe" + str(crc32(request.node.name.encode()))

    def write(changed="", old="", new=""):
        folder = tmp_path / "site" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        for file, text in FILES.items():
            assert file != changed or old in text
            text = text.replace(old, new) if file == changed else text
            text = text.replace("MetricComponent,", "LossComponent, MetricComponent,")
            (folder / file).write_text(text.replace("PACKAGE", name), encoding="utf-8")
        monkeypatch.syspath_prepend(folder.parent)
        monkeypatch.setenv("PYTHONPATH", str(folder.parent))
        return importlib.import_module(f"{name}.plugin")

    yield write
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def made(plugin):
    return type("TestProbe", (PluginTests,), {"plugin": plugin})


def test_good_plugin_is_accepted_but_for_its_installation(plugin, said):
    (message,) = said(made(plugin()))
    assert "No installed distribution names" in message
    assert '[project.entry-points."nexus.plugins"]' in message


def test_a_consent_needs_no_default(plugin, said):
    consent = 'scale: __import__("typing").Literal[True] = option(MISSING, help="Write true to allow it")'
    module = plugin("options.py", 'scale: float = option(1.0, help="Degrees in one unit")', consent)
    (message,) = said(made(module))
    assert "No installed distribution names" in message


def test_installed_plugin_is_found(plugin, tmp_path):
    module = plugin()
    info = tmp_path / "site" / "nexus_probe-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: nexus-probe\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[nexus.plugins]\nprobe = {module.__name__}\n", encoding="utf-8")
    check_entry_point(module)


@pytest.mark.parametrize(("file", "old", "new", "advice"), BROKEN)
def test_broken_plugin_is_rejected(file, old, new, advice, plugin, rejected):
    module = plugin(file, old, new)
    rejected(made(module), advice.replace("PACKAGE", module.__name__.partition(".")[0]))


def test_two_components_of_one_name_are_rejected(plugin, rejected):
    call = GOOD.partition("    yield ")[2]
    rejected(made(plugin("plugin.py", call, f"{call}    yield {call}")), "Rename one")


def test_descriptors_that_change_are_rejected(plugin, rejected):
    changing = ('summary="Mean distance in degrees"', "summary=f\"Mean {__import__('uuid').uuid4()}\"")
    rejected(made(plugin("plugin.py", *changing)), "Yield constants")


def test_plugin_that_cannot_be_imported_is_rejected(plugin, rejected):
    from nexus_specs.testing.light import check_light

    module = plugin()
    with pytest.raises(AssertionError, match="cannot be imported: ModuleNotFoundError"):
        check_light([f"{module.__name__}.lost"], "The plugin module")


def test_unknown_name_is_answered_with_a_near_one(plugin):
    from nexus_specs.testing import MetricTests

    tests = type("TestProbe", (MetricTests,), {"plugin": plugin(), "name": "degree"})
    with pytest.raises(AssertionError, match="Did you mean 'degrees'"):
        tests().descriptor()
