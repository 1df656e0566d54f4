"""No file needs, by whatever way, itself: imports within functions and those for types alone count too."""

import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["root_packages"]


def circle(packages):
    """The files of a circle of imports, the first of them again as the last; [] where there is none."""
    graph = grimp.build_graph(*packages, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_file_is_in_a_circle_of_imports():
    assert circle(PACKAGES) == []


@pytest.mark.parametrize("where", ["def later()", "if TYPE_CHECKING"])
def test_circles_are_seen_wherever_the_import_stands(tmp_path, monkeypatch, where):
    package = tmp_path / f"round_{where[:2]}"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "one.py").write_text("from .two import second\n\nfirst = second\n")
    (package / "two.py").write_text(
        f"from typing import TYPE_CHECKING\n\nsecond = 2\n{where}:\n    from .one import first\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert set(circle([package.name])) == {f"{package.name}.one", f"{package.name}.two"}
