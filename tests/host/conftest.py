"""Plugins as folders on disk with real metadata: found, imported and refused as if pip had installed them."""

import os
import shutil
import sys
import textwrap
from functools import partial
from importlib.metadata import distributions
from pathlib import Path

import pytest

from nexus_host.discovery import Plugins, points
from nexus_host.running import worker

HERE = Path(__file__).parent


class Site:
    """A folder like site-packages, and the only place where this test's plugins are looked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def module(self, name, source=""):
        """Writes a module, "package.inner" into its package."""
        path = self.folder.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    def distribution(self, name, version="1.0", points=None, metadata="", **files):
        """Writes a dist-info folder; `points` are entry points: name -> module."""
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}")
        lines = [f"{key} = {module}" for key, module in (points or {}).items()]
        (info / "entry_points.txt").write_text("\n".join(["[nexus.plugins]", *lines]))
        for file, text in files.items():
            (info / file.replace("_json", ".json")).write_text(text)

    def plugin(self, name, source, version="1.0", distribution="", **more):
        """A module with hooks, and the distribution that names it."""
        module = name.replace("-", "_") + "_plugin"
        head = "from nexus_specs import *\nfrom nexus_specs import hookimpl\n"
        self.module(module, head + textwrap.dedent(source))
        self.distribution(distribution or f"acme-{name}", version, {name: module}, **more)

    def copy(self, name):
        """The plugin in a folder beside this file."""
        self.plugin(name, (HERE / name / "plugin.py").read_text())
        self.module(f"{name}_parts", (HERE / name / "parts.py").read_text())

    def found(self, without=()):
        return Plugins.discover(without)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(points, "distributions", partial(distributions, path=[str(folder)]))
    monkeypatch.delenv("NEXUS_WITHOUT", raising=False)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    before = set(sys.modules)
    yield Site(folder)
    worker.forget()  # what this process found belongs to this site
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def whole(site):
    """A site with one plugin that offers something of every kind, and a registry."""
    site.copy("whole")
    site.module("whole_home.__init__")
    shutil.copy(HERE / "whole" / "registry.yaml", site.folder / "whole_home")
    return site


@pytest.fixture
def away(site):
    """A site with readers `away`, of what lies on a hub, and `here`."""
    site.copy("away")
    return site


@pytest.fixture
def plugins(whole):
    return whole.found()
