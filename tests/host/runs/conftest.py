"""A toy plugin with a real dist-info folder, a registry over toy files, and ways to run it: in this process, and as a
user would, through the command line."""

import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from nexus_host.__main__ import run

HERE = Path(__file__).parent
METADATA = "Metadata-Version: 2.1\nName: nexus-toy\nVersion: 1.0\n"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder with the installed toy plugin, first on the path of this process and of its children."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(HERE / "toy", site / "nexus_toy", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "nexus_toy" / "__init__.py").touch()
    info = site / "nexus_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text("[nexus.plugins]\ntoy = nexus_toy.plugin\n")
    return site


@pytest.fixture
def alone(site, tmp_path, monkeypatch):
    """Only the toy plugin counts; hashes are remembered in a folder of the test."""
    others = sorted({point.name for point in entry_points(group="nexus.plugins")} - {"toy"})
    monkeypatch.setenv("NEXUS_WITHOUT", ",".join(others))
    monkeypatch.setenv("NEXUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.syspath_prepend(str(site))
    return site


class Toy:
    """A folder with a registry over toy teachers, and commands on it."""

    def __init__(self, folder: Path, capture) -> None:
        self.capture = capture
        self.folder, self.run_dir, self.path = folder, folder / "run", folder / "registry.yaml"
        self.registry = {
            "version": 1,
            "teachers": {},
            "towers": {},
            "student": {"component": "nexus"},
            "losses": [{"name": "kl"}],
            "data": {},
            "run": {"workers": 2},
        }

    def teacher(self, name: str, tower: str = "text") -> None:
        parts = {}
        for split in ("train", "development", "held_out"):
            path = self.folder / f"{name}-{split}.txt"
            path.write_text("\n".join(f"{name} {split} {index}" for index in range(5)))
            parts[split] = str(path)
        (self.folder / f"{name}.toy").write_text(name)
        self.registry["teachers"][name] = {"source": str(self.folder / f"{name}.toy"), "tower": name, "data": name}
        self.registry["towers"][name] = {"component": tower}
        self.registry["data"][name] = {"reader": "lines", "options": {"parts": parts}, "tags": [tower]}

    def stage(self, name: str, **options) -> None:
        self.registry["run"].setdefault("stages", {}).setdefault(name, {}).update(options)

    def wait(self, name: str = "prose", how: str = "wait") -> None:
        """Has the training of a tower wait in its first step until it is paused, or `go` is called: what is done to a
        run meanwhile finds it running, however slow the machine is."""
        self.registry["towers"][name]["stages"] = {"train": {"fail": how}}

    def go(self) -> None:
        (self.run_dir / "go").touch()

    def until_waiting(self, name: str = "prose"):
        return self.until(
            lambda status: any(u["name"] == f"train/{name}" and (u["done"] or 0) >= 1 for u in status["units"])
        )

    def save(self) -> Path:
        text = io.StringIO()
        YAML().dump(self.registry, text)
        self.path.write_text(text.getvalue())
        return self.path

    def start(self, *arguments, command="run", run_dir=None, limit=0, **settings) -> subprocess.Popen:
        self.save()
        line = [sys.executable, "-m", "nexus_host", command, *self.where(run_dir), *map(str, arguments)]
        if limit:
            settings["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(line, text=True, cwd=self.folder, **(pipes | settings))

    def command(self, *arguments, code=0, apart=False, **settings) -> tuple[str, str]:
        """A command, and what it printed: in this process with the inline executor or, `apart`, as a user's."""
        if not apart:
            return self.quick(*arguments, code=code, **settings)
        process = self.start(*arguments, **settings)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        return out, err

    def quick(self, *arguments, command="run", run_dir=None, code=0) -> tuple[str, str]:
        components = self.registry["run"].setdefault("components", {})
        components["executor"] = "inline"
        self.save()
        del components["executor"]
        self.capture.readouterr()
        found = run([command, *self.where(run_dir), *map(str, arguments)])
        out, err = self.capture.readouterr()
        assert found == code, f"exit code {found}\n{out}\n{err}"
        return out, err

    def where(self, run_dir) -> list[str]:
        if run_dir:
            return [str(self.run_dir if run_dir == "positional" else run_dir)]
        return ["--registry", str(self.path), "--run-dir", str(self.run_dir)]

    def typed(self, *words, code=0) -> tuple[str, str]:
        """A command line of one's own, in the folder."""
        line = [sys.executable, "-m", "nexus_host", *map(str, words)]
        found = subprocess.run(line, capture_output=True, text=True, cwd=self.folder, timeout=300)
        assert found.returncode == code, f"exit code {found.returncode}\n{found.stdout}\n{found.stderr}"
        return found.stdout, found.stderr

    def status(self) -> dict:
        try:
            return json.loads((self.run_dir / "status.json").read_text())
        except FileNotFoundError:
            return {"phase": "", "units": []}

    def until(self, condition, patience: float = 200):
        """Waits for the status to be so."""
        deadline = time.monotonic() + patience
        while not condition(status := self.status()):
            assert time.monotonic() < deadline, status
            time.sleep(0.05)
        return status

    def contents(self, name: str = "release") -> dict[str, bytes]:
        folder = self.run_dir / name
        return {
            str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()
        }


@pytest.fixture
def toy(alone, tmp_path, capfd):
    """Two text teachers and one image teacher."""
    found = Toy(tmp_path, capfd)
    found.teacher("prose")
    found.teacher("code")
    found.teacher("digits", "image")
    return found


@pytest.fixture
def requested(toy):
    """What `nexus run` would be asked for, from the registry as it is now."""
    from nexus_host.discovery import Plugins
    from nexus_host.registry import Override, Registry
    from nexus_host.running.session import Request

    def make(*sets: str, models=(), **fields):
        plugins = Plugins.discover()
        registry = Registry.load(toy.save(), plugins, [Override.parse(each) for each in sets], models=models)
        return Request(registry=registry, plugins=plugins, run=toy.run_dir, **fields)

    return make


@pytest.fixture
def plan(toy, requested):
    """The plan of the registry as it is now, without estimates: nobody is asked."""
    from nexus_specs import Budget

    from nexus_host.planning import make_plan

    toy.registry["run"]["components"] = {"executor": "inline"}

    def make(*sets, models=(), **fields):
        request = requested(*sets, models=models)
        limits = Budget(memory=1000, disk=10**9)
        return make_plan(request.registry, request.plugins, toy.run_dir, budget=limits, **fields)

    return make
