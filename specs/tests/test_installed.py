"""The lookup that a release uses where the host is not installed, on real entry points on disk."""

import sys

import pytest
import torch
from nexus_specs import Installed, NexusError, loader
from nexus_specs.installed import _managers

PLUGIN = """
from nexus_specs import ArchitectureComponent, Component, hookimpl

class Loader:
    claim = 1
    def match(self, source):
        return self.claim if source.startswith("toy:") else 0
    def inspect(self, source):
        return f"blueprint of {source}"
    def open(self, source, lookup):
        return f"checkpoint of {source}"

class Engine:
    def __init__(self, device="cpu"):
        self.device = device

@hookimpl
def nexus_architectures():
    yield ArchitectureComponent(name="NAME", target="MODULE:Loader", summary="Toys")

@hookimpl
def nexus_engines():
    yield Component(name="engine", target="MODULE:Engine", summary="Runs toys")
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a plugin and its entry point on the path, as pip does."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = []

    def put(module, name, text=PLUGIN):
        (tmp_path / f"{module}.py").write_text(text.replace("MODULE", module).replace("NAME", name), encoding="utf-8")
        info = tmp_path / f"{module}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[nexus.plugins]\n{module} = {module}\n", encoding="utf-8")
        modules.append(module)
        _managers.cache_clear()
        return Installed()

    yield put
    _managers.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)


def test_components_are_found_and_made_with_options(install):
    lookup = install("probe_one", "probe-toys")
    assert lookup.components("architecture")["probe-toys"].summary == "Toys"
    assert lookup.make("engine", "engine", device="cuda").device == "cuda"


def test_what_a_component_changes_of_the_process_is_put_back(install):
    loud = PLUGIN.replace("        self.device = device", "        import torch\n        torch.set_grad_enabled(False)")
    install("probe_loud", "probe-toys", loud).make("engine", "engine")
    assert torch.is_grad_enabled()


def test_a_source_is_opened_by_the_loader_that_claims_it(install):
    lookup = install("probe_two", "probe-toys")
    name, _ = loader(lookup, "toy:1")
    assert name == "probe-toys"
    assert lookup.inspect("toy:1") == "blueprint of toy:1"
    assert lookup.open("toy:1") == "checkpoint of toy:1"


def test_unknown_name_is_answered_with_what_there_is(install):
    lookup = install("probe_three", "probe-toys")
    with pytest.raises(NexusError, match=r"No engine is named 'sly' here. Available: .*engine"):
        lookup.make("engine", "sly")


def test_source_of_nobody_names_who_was_asked(install):
    lookup = install("probe_four", "probe-toys")
    with pytest.raises(NexusError, match=r"No loader opens 'brick:1'. Tried: .*probe-toys"):
        lookup.open("brick:1")


def test_two_equal_claims_are_an_error_that_names_both(install):
    install("probe_five", "probe-toys")
    lookup = install("probe_six", "probe-other-toys")
    with pytest.raises(NexusError, match="probe-other-toys and probe-toys"):
        lookup.inspect("toy:1")


BROKEN = [
    "raise RuntimeError('broken')",
    "raise SystemExit(3)",
    "raise BaseException('panic')",
    "import no_such_module",
    "from nexus_specs import hookimpl\n@hookimpl\ndef nexus_architectures():\n    raise ValueError('late')",
    "from nexus_specs import hookimpl\n@hookimpl\ndef nexus_architectures():\n    raise SystemExit('late')\n    yield",
    "from nexus_specs import hookimpl\n@hookimpl\ndef nexus_architectures():\n    return 3",
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_plugin_does_not_stop_the_others(text, install):
    install("probe_broken", "broken", text)
    lookup = install("probe_seven", "probe-toys")
    assert "probe-toys" in lookup.components("architecture")


def test_a_damaged_distribution_does_not_stop_the_others(install, tmp_path):
    lookup = install("probe_eight", "probe-toys")
    for name, points in (("dash", b"[nexus.plugins]\ndash = my-plugin\n"), ("bytes", b"[nexus.plugins]\nx = \xff\n")):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_bytes(b"\xff\xfe")
        (info / "entry_points.txt").write_bytes(points)
    assert "probe-toys" in lookup.components("architecture")


@pytest.mark.parametrize("name", ["probe_nine", " Probe.Nine,another"])
def test_what_is_switched_off_is_not_there(name, install, monkeypatch):
    lookup = install("probe_nine", "probe-toys")
    assert "probe-toys" in lookup.components("architecture")
    monkeypatch.setenv("NEXUS_WITHOUT", name)
    assert "probe-toys" not in lookup.components("architecture")


def test_an_interruption_is_nobodys_fault(install):
    lookup = install("probe_ten", "probe", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        lookup.components("architecture")
