"""What `verify` finds out about decoders of others that a release needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_observe.decoders import checked
from nexus_observe.release import copied_tensors
from nexus_observe.verifying import oversized
from nexus_specs import Decoder
from nexus_torch.decoders import settled
from nexus_torch.files import read_tensors, write_tensors

HUB = Decoder(name="vocoder", source=f"acme/vocoder@{'0' * 40}", licence="MIT", parameters=10)


@pytest.fixture
def codec(tmp_path: Path) -> Path:
    folder = tmp_path / "beside" / "codec"
    write_tensors(folder / "model.safetensors", {"book": torch.arange(12.0)})
    return folder


@pytest.fixture
def manifest(codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    declared = [settled(Decoder(name="codec", source=str(codec), licence="MIT")), settled(HUB)]
    return {
        "capabilities": [],
        "teachers": {"voices": {"parameters": 100, "tensors": []}},
        "parameters": {"student": 28, "teachers": 100, "towers": {"speech": 8}, "decoders": 22},
        "decoders": [{"tower": "speech", **each} for each in declared],
    }


def test_those_in_reach_are_compared_and_the_others_named(manifest: dict[str, Any], codec: Path) -> None:
    problems, told = checked(manifest, [codec.parent])
    assert problems == []
    assert told == (
        "Decoders of others: codec of speech (its files are those of the manifest), "
        f"vocoder of speech (not on this machine: {HUB.source})."
    )
    assert "codec of speech (not on this machine: codec)" in checked(manifest, [])[1]
    (codec / "model.safetensors").write_bytes(b"another")
    problems, told = checked(manifest, [codec.parent])
    assert problems == ["Decoder codec from codec: model.safetensors: changed."]
    assert "codec of speech (not what the manifest says)" in told


def test_one_that_only_its_commit_names(manifest: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "cache" / "models--acme--vocoder" / "snapshots" / ("0" * 40)).mkdir(parents=True)
    assert "vocoder of speech (its commit alone says what it is)" in checked(manifest, [])[1]


def test_a_release_without_any_says_nothing(manifest: dict[str, Any]) -> None:
    older = {name: value for name, value in manifest.items() if name != "decoders"}
    older["parameters"] = {"student": 28, "teachers": 100, "towers": {}}
    assert checked(older, []) == ([], "")
    assert oversized(older) == []


def test_wrong_claims_about_them_are_named(manifest: dict[str, Any]) -> None:
    assert oversized(manifest) == []
    manifest["parameters"]["decoders"] = 0
    manifest["parameters"]["student"] = 29
    assert checked(manifest, [])[0] == ["The decoders have 22 parameters, the manifest says 0."]
    (line,) = oversized(manifest)
    assert line == "The student has 29 parameters and needs decoders of 22, more than half of all its teachers'."
    (known,) = manifest["decoders"][0]["tensors"]
    manifest["teachers"]["voices"] = {"parameters": 20, "tensors": [known]}
    assert checked(manifest, [])[0][0].startswith("Decoder codec of tower speech: it holds 12 of the 20 parameters")


def test_a_decoders_tensor_in_a_release_is_told_from_a_teachers(
    manifest: dict[str, Any], codec: Path, tmp_path: Path
) -> None:
    book = read_tensors(codec / "model.safetensors")["book"]
    write_tensors(tmp_path / "release" / "own.safetensors", {"mine": book})
    (known,) = manifest["decoders"][0]["tensors"]
    manifest["teachers"]["voices"]["tensors"] = [known]
    said = ["mine of own.safetensors is a tensor of the decoder codec"]
    assert copied_tensors(tmp_path / "release", manifest) == said
    manifest["decoders"] = []
    assert copied_tensors(tmp_path / "release", manifest) == ["mine of own.safetensors is a tensor of voices"]
