"""The distributions of this repository: what their files promise, and that lists agree with folders."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
OURS = ("nexus_specs", "nexus_torch")
DISTRIBUTIONS = {"nexus_specs": "nexus-specs", "nexus_torch": "nexus-specs"}


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def canonical(name):
    return re.match(r"[A-Za-z0-9._-]+", name)[0].lower().replace("_", "-").replace(".", "-")


def named_by(folder):
    """All requirements of a project, those of its extras too."""
    found = project(folder)["project"]
    return [*found.get("dependencies", ()), *chain.from_iterable(found.get("optional-dependencies", {}).values())]


def with_extras(names):
    """The names, with what extras of nexus-specs among them stand for."""
    extras = project(ROOT / "specs")["project"]["optional-dependencies"]
    found = list(names)
    for name in found:
        if match := re.fullmatch(r"nexus-specs\[([\w-]+)\].*", name):
            found += [each for each in extras[match[1]] if each not in found]
    return found


def requirements():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def imported(folder):
    """Top-level names of all that a package imports, what it tries and may do without left out."""
    for file in folder.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        optional = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Try) for inner in ast.walk(node)}
        for node in ast.walk(tree):
            if id(node) in optional:
                continue
            if isinstance(node, ast.Import):
                yield from ((alias.name.partition(".")[0], file) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield node.module.partition(".")[0], file


def test_requirements_list_every_folder_the_contract_first():
    editable = [line.removeprefix("-e ") for line in requirements() if line.startswith("-e ")]
    assert editable[0].startswith("./specs")
    assert editable[1].startswith(".[")
    assert editable[2:] == [f"./plugins/{folder.name}" for folder in PLUGINS]


def test_requirements_pin_what_is_installed_here():
    for line in requirements():
        if not line.startswith("-e "):
            name, _, pinned = line.partition("==")
            assert version(name).partition("+")[0] == pinned, line


def test_requirements_pin_everything_that_a_project_names():
    pinned = {canonical(line) for line in requirements() if not line.startswith("-e ")}
    for folder in (ROOT, ROOT / "specs", *PLUGINS):
        lost = {canonical(name) for name in named_by(folder) if not name.startswith("nexus-")} - pinned
        assert not lost, f"{folder.name}: requirements.txt does not pin {sorted(lost)}"


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_plugin_folder_is_complete(folder):
    found = project(folder)
    package = folder.name.replace("-", "_")
    assert found["project"]["name"] == folder.name
    assert found["project"]["license"] == "MIT"
    assert found["project"]["requires-python"] == ">=3.11"
    assert found["project"]["entry-points"]["nexus.plugins"]
    assert all(
        target.startswith(f"{package}.") for target in found["project"]["entry-points"]["nexus.plugins"].values()
    )
    for name in ("README.md", f"{package}/plugin.py", f"{package}/py.typed"):
        assert (folder / name).is_file(), f"{folder.name} has no {name}"


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_plugin_names_what_it_imports(folder):
    package = folder.name.replace("-", "_")
    named = {canonical(name) for name in with_extras(named_by(folder))}
    known = packages_distributions()
    for name, file in imported(folder / package):
        if name in sys.stdlib_module_names or name == package:
            continue
        distributions = {DISTRIBUTIONS.get(name) or canonical(each) for each in known.get(name, [name])}
        assert distributions & named, f"{file.relative_to(ROOT)} imports {name}, which pyproject.toml does not name"


def test_host_ships_the_host_alone():
    assert project(ROOT)["tool"]["setuptools"]["packages"]["find"]["include"] == ["nexus_host*"]


def test_import_linter_knows_every_plugin():
    lint = project(ROOT)["tool"]["importlinter"]
    packages = {folder.name.replace("-", "_") for folder in PLUGINS}
    assert set(lint["root_packages"]) == packages | {"nexus_specs", "nexus_torch", "nexus_host"}
    (independent,) = [each["modules"] for each in lint["contracts"] if each["type"] == "independence"]
    assert set(independent) == packages | {"nexus_host"}
    (one_way,) = [each["ancestors"] for each in lint["contracts"] if each["type"] == "acyclic_siblings"]
    assert {each.partition(".")[0] for each in one_way} == set(lint["root_packages"])


def test_licence_is_mit():
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
