"""What tests of several family plugins share: small random checkpoints in the layout of the real ones, written by the
builders of benchmarks/tiny_teachers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BUILDERS = Path(__file__).resolve().parents[1] / "benchmarks"
FAMILIES = ("composed", "duplex", "synthesis")
"""The modules of the builders that make what transformers does not hold."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path, str, Any]]:
    """Name of a row -> the row, its folder, the source, and the reference; built once."""
    if not (BUILDERS / "tiny_teachers").is_dir():
        pytest.skip("there is no folder benchmarks/tiny_teachers beside the plugins")
    sys.path.insert(0, str(BUILDERS))
    rows = {row.name: row for name in FAMILIES for row in importlib.import_module(f"tiny_teachers.{name}").ROWS}
    checking = importlib.import_module("tiny_teachers.checking")
    made: dict[str, tuple[Any, Path, str, Any]] = {}

    def built(name: str) -> tuple[Any, Path, str, Any]:
        if name not in made:
            folder = tmp_path_factory.mktemp("tiny") / name.replace(" ", "-")
            reference = rows[name].build(folder)
            made[name] = rows[name], folder, checking.source_of(rows[name], folder), reference
        return made[name]

    return built
