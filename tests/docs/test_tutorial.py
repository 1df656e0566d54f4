"""The tutorial's blocks, in their order: files are written, commands run, and a release comes out of it."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "towers-tutorial.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
FILES = [(name, body) for _, name, body in BLOCKS if name]
COMMANDS = [body for kind, name, body in BLOCKS if kind == "console"]
CODE = [body for kind, name, body in BLOCKS if kind == "python" and not name]
PROGRAMS = {
    "nexus": [sys.executable, "-m", "nexus_host"],
    "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib"],
}


class Reader:
    """Somebody who does what the page says, in an empty folder."""

    def __init__(self, folder):
        self.folder, self.site = folder, folder / ".site"
        self.site.mkdir()
        self.paths = [self.site]

    def write(self):
        for name, body in FILES:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")

    def install(self, folder):
        """What `pip install -e` leaves behind: the folder on the path, and the metadata with the entry points. Once,
        whichever test asks for it first."""
        if self.folder / folder in self.paths:
            return
        project = tomllib.loads((self.folder / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        info = self.site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(head, encoding="utf-8")
        points = project["entry-points"]["nexus.plugins"].items()
        lines = ["[nexus.plugins]", *(f"{name} = {target}" for name, target in points)]
        (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
        self.paths.append(self.folder / folder)

    def run(self, words):
        path = os.pathsep.join(map(str, self.paths))
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(self.folder)}
        done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def type(self, line):
        program, *rest = shlex.split(line)
        if program == "pip":
            assert rest[:2] == ["install", "-e"]
            self.install(rest[2])
            return ""
        return self.run([*PROGRAMS[program], *rest])

    def type_all(self, block):
        return [self.type(line.removeprefix("$ ").partition("  #")[0]) for line in block.splitlines()]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    made = Reader(tmp_path_factory.mktemp("tutorial"))
    made.write()
    return made


def test_plugin_of_the_tutorial_keeps_the_contract(reader):
    *_, towers = reader.type_all(COMMANDS[0])
    assert "thermal" in towers


@pytest.mark.slow
def test_tutorial_ends_with_its_tower_in_a_release(reader):
    if reader.paths == [reader.site]:
        reader.install("acme-thermal")
    reader.type_all(COMMANDS[1])
    for code in CODE:
        assert "thermal" in reader.run([sys.executable, "-c", code])


def test_tutorial_has_no_block_that_is_not_run():
    assert len(COMMANDS) == 2
    assert {kind for kind, _, _ in BLOCKS} == {"toml", "python", "yaml", "console"}
