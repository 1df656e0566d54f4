"""Checks of a registry that a plugin brings: a file of the package that names components and what the package ships."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from ..components import Component, locate
from .base import ComponentTests

ABSOLUTE = re.compile(r"(?<![\w.:/])(/(?:home|root|Users|tmp|mnt|data|work|opt|var)/\S+|[A-Z]:\\\S+)")
PACKAGE = re.compile(r"package:[\w./-]+")
IMPORT_PATH = re.compile(r"^\s*[\w-]+:\s*['\"]?([a-z_]\w*(?:\.\w+)*:[A-Za-z_]\w*)['\"]?\s*$", re.MULTILINE)
TOP = re.compile(r"^([A-Za-z_][\w-]*):", re.MULTILINE)
KNOWN = ("version", "teachers", "towers", "student", "losses", "data", "run")


def registry_file(component: Component) -> Path:
    """Where the target lies."""
    package, _, inner = component.target.partition(":")
    try:
        return locate(f"package:{package}/{inner}")
    except FileNotFoundError as error:
        raise AssertionError(
            f"{error}. Write the target as 'package:path/registry.yaml', with the import name of your package."
        ) from error


def check_file(path: Path) -> str:
    """It is there, and it is text."""
    assert path.is_file(), (
        f"The registry '{path.name}' is not in the package. Put it beside the modules, and name it in pyproject.toml "
        f"under [tool.setuptools.package-data]."
    )
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AssertionError(f"'{path.name}' is not UTF-8 ({error}). Save it as UTF-8.") from error
    assert text.strip(), f"'{path.name}' is empty. Name at least one teacher with its tower, metric and data."
    assert "\t" not in text, f"'{path.name}' has a tab, which YAML does not take for indentation. Use spaces."
    return text


def check_sections(text: str) -> None:
    """The sections of a registry, each once."""
    found = TOP.findall(text)
    twice = [name for name, count in Counter(found).items() if count > 1]
    assert not twice, f"The section '{twice[:1]}' stands twice; YAML would drop one. Make one of them."
    unknown = [name for name in found if name not in KNOWN]
    assert not unknown, f"There is no section {unknown}. Sections: {', '.join(KNOWN)}."
    assert "version" in found, "The registry has no version. Begin it with `version: 1`."
    assert "teachers" in found, "The registry has no teachers. Name at least one."


def check_names(text: str) -> None:
    """Names of components, no import paths, no paths of one machine."""
    path = IMPORT_PATH.search(text)
    assert not path, f"'{path and path[1]}' is an import path. Name the component; its plugin knows where it lies."
    machine = ABSOLUTE.search(text)
    assert not machine, (
        f"'{machine and machine[0]}' is a path of one machine. Write 'package:name/inner/path' for what you ship."
    )


def check_resources(text: str) -> None:
    """What it names inside packages is there."""
    for source in PACKAGE.findall(text):
        try:
            there = locate(source).exists()
        except FileNotFoundError:
            there = False
        assert there, f"'{source}' does not exist. Ship it with the package, or correct the path."


class RegistryTests(ComponentTests):
    """A registry that a plugin brings."""

    kind = "registry"

    def text(self) -> str:
        """The file's text."""
        return check_file(registry_file(self.descriptor()))

    def test_sections_are_known(self) -> None:
        check_sections(self.text())

    def test_it_names_components(self) -> None:
        check_names(self.text())

    def test_what_it_names_is_shipped(self) -> None:
        check_resources(self.text())
