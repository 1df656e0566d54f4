"""GGUF files of tiny models, written once, and the folder of real files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import Sample, content_key
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))               # for gguf_files, which the benchmark uses too

from gguf_files.reading import loaded as fill_all
from gguf_files.tiny import model_of
from gguf_files.writing import write

TEXTS = ("Once upon a time", "t1 t22", "a naïve 日本 text")


@pytest.fixture(scope="session")
def texts() -> list[Sample]:
    return [Sample(key=content_key({"text": text}), fields={"text": text}) for text in TEXTS]


@pytest.fixture(scope="session")
def model() -> Callable[[str], Any]:
    """Name of a row -> its transformers model, made anew."""
    return model_of


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Name of a row, and a type -> its file, written once."""
    folder = tmp_path_factory.mktemp("gguf")
    made: dict[tuple[str, str], Path] = {}

    def path(row: str, kind: str = "F32") -> Path:
        if (row, kind) not in made:
            made[row, kind] = write(row, model_of(row), folder / f"{row}-{kind}.gguf", kind)
        return made[row, kind]

    return path


@pytest.fixture(scope="session")
def loaded() -> Callable[[Any], tuple[nn.Module, dict[str, Tensor]]]:
    """A checkpoint -> its module, filled part by part, and the tensors by name."""
    torch.set_num_threads(1)
    return fill_all
