"""Tiny random checkpoints of diffusers, saved by diffusers itself in the layout of the real ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nexus_specs import Budget, Installed, Piece, Sample, Tap
from nexus_specs.testing import sample

sys.path.insert(0, str(Path(__file__).parent))               # for diffusers_files, which a benchmark uses too

from diffusers_files.pipelines import PIPELINES, save

PROMPTS = ("a red cat", "two dogs in the snow, painted", "night")


@pytest.fixture(scope="session")
def prompts() -> list[Sample]:
    return [sample(text=text) for text in PROMPTS]


@pytest.fixture(scope="session")
def pictures() -> list[Sample]:
    generator = np.random.default_rng(0)
    return [
        sample(text=text, image=generator.integers(256, size=(16, 16, 3), dtype=np.uint8)) for text in PROMPTS
    ]


Once = Callable[[str, Mapping[str, Callable[[Path], Any]]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """A name, and what writes each name's folder -> that folder, written once."""
    made: dict[tuple[str, int], Path] = {}

    def folder(name: str, writers: Mapping[str, Callable[[Path], Any]]) -> Path:
        key = name, id(writers)
        if key not in made:
            made[key] = tmp_path_factory.mktemp(name)
            writers[name](made[key])
        return made[key]

    return folder


WRITERS: dict[str, Callable[[Path], Any]] = {name: partial(save, name) for name in PIPELINES}


@pytest.fixture(scope="session")
def saved(once: Once) -> Callable[[str], Path]:
    """Name of a pipeline -> its folder, made once by diffusers."""
    return lambda name: once(name, WRITERS)


class Pieces(dict[tuple[str, str], Any]):
    """A sink that keeps: (sample, tap) -> value, each once."""

    def put(self, piece: Piece) -> None:
        for key, value in zip(piece.keys, piece.values, strict=True):
            assert (key, piece.tap) not in self, f"{piece.tap} came twice"
            self[key, piece.tap] = value

    def flush(self) -> None:
        """Everything is kept as it comes."""


@pytest.fixture
def observed() -> Callable[..., Pieces]:
    """What the engine gives for a source, its samples and taps."""

    def run(
        source: str, samples: Sequence[Sample], taps: Sequence[str], residency: str = "resident", batch: int = 2,
        **more: Any,
    ) -> Pieces:  # fmt: skip
        found, lookup = Pieces(), Installed()
        budget = Budget(micro_batch=batch, residency=residency, **more)  # type: ignore[arg-type]
        with lookup.make("engine", "sli").load(lookup.open(source), budget) as teacher:
            teacher.observe(samples, [Tap(path=path) for path in taps], found)
        return found

    return run


@pytest.fixture
def layers() -> Callable[[str], list[str]]:
    """Every layer of a source, by its path."""
    return lambda source: [layer for stack in Installed().inspect(source).stacks for layer in stack.layers]


@pytest.fixture
def edited(saved: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a folder with another JSON in one of its files."""

    def copy(name: str, file: str, change: Callable[[dict[str, Any]], Any]) -> Path:
        import shutil

        place = tmp_path / name
        shutil.copytree(saved(name), place)
        data = change(json.loads((place / file).read_text()))
        (place / file).write_text(data if isinstance(data, str) else json.dumps(data))
        return place

    return copy
