"""Headers of safetensors files are read as the library of the format reads them, and held against the index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import NexusError
from nexus_torch.hugging_face.folder import extents
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

WEIGHTS = {"a": torch.ones(4), "b": torch.zeros(6), "c": torch.ones(0)}


def written(home: Path, places: dict[str, list[int]], tail: int = 0) -> Path:
    """A file of ten numbers with a header of these places."""
    path = home / "model.safetensors"
    header = {
        name: {"dtype": "F32", "shape": [(stop - start) // 4], "data_offsets": [start, stop]}
        for name, (start, stop) in places.items()
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(40 + tail))
    return path


def test_tensors_that_lie_one_behind_the_other(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    assert {each.key for each in extents(tmp_path)} == set(WEIGHTS)


@pytest.mark.parametrize(
    ("places", "tail", "message"),
    [
        ({"a": [0, 16], "b": [0, 24]}, 0, "'b' overlaps"),
        ({"a": [0, 16], "b": [12, 36]}, 4, "'b' overlaps"),
        ({"a": [4, 16], "b": [16, 40]}, 0, "'a' does not begin where"),
        ({"a": [0, 12], "b": [16, 40]}, 0, "'b' does not begin where"),
        ({"a": [0, 16], "b": [16, 40]}, 4, "4 bytes behind its last tensor"),
        ({"a": [0, 16], "b": [16, 44]}, 0, "shorter than its header says, from the tensor 'b'"),
    ],
)
def test_places_that_do_not_fit(tmp_path: Path, places: dict[str, Any], tail: int, message: str) -> None:
    path = written(tmp_path, places, tail)
    with pytest.raises(SafetensorError):
        load_file(path)
    with pytest.raises(NexusError, match=message) as caught:
        extents(tmp_path)
    assert path.name in str(caught.value)


def test_a_tensor_that_the_index_places_where_it_is_not(tmp_path: Path) -> None:
    save_file({"a": WEIGHTS["a"]}, tmp_path / "one.safetensors")
    save_file({"b": WEIGHTS["b"]}, tmp_path / "two.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    places = {"a": "one.safetensors", "b": "two.safetensors"}
    index.write_text(json.dumps({"weight_map": places}))
    assert [each.key for each in extents(tmp_path)] == ["a", "b"]
    save_file(WEIGHTS, tmp_path / "two.safetensors")
    with pytest.raises(NexusError, match=r"index.json' has no entry for the tensor '\w+', which '.*two.safetensors' h"):
        extents(tmp_path)
    save_file({"b": WEIGHTS["b"]}, tmp_path / "two.safetensors")
    index.write_text(json.dumps({"weight_map": places | {"x": "two.safetensors"}}))
    with pytest.raises(NexusError, match=r"two.safetensors' lacks the tensor 'x', which .*index.json places in it"):
        extents(tmp_path)
