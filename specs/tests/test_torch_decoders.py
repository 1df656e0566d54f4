"""Decoders of others: what is known of a declared one, whether it is still that, and whether it is a teacher."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nexus_specs import Decoder, NexusError
from nexus_torch import hub
from nexus_torch.decoders import altered, counted, disguised, settled
from nexus_torch.files import file_hash, write_tensors
from nexus_torch.identity import tensor_hash

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHT = torch.arange(12.0).reshape(3, 4)


@pytest.fixture
def codec(tmp_path: Path) -> Path:
    """A checkpoint of twelve parameters, and a bias that is nobody's."""
    folder = tmp_path / "codec"
    write_tensors(folder / "model.safetensors", {"weight": WEIGHT, "bias": torch.zeros(3)})
    (folder / "config.json").write_text("{}")
    return folder


def declared(source: object, **more: object) -> Decoder:
    return Decoder(**{"name": "codec", "source": str(source), "licence": "MIT", **more})


def test_what_is_here_is_counted_and_hashed(codec: Path) -> None:
    found = settled(declared(codec))
    assert found == {
        "name": "codec", "source": "codec", "licence": "MIT", "parameters": 15, "tensors": {tensor_hash(WEIGHT): 12},
        "sha256": {name: file_hash(codec / name) for name in ("config.json", "model.safetensors")},
    }  # fmt: skip
    alone = settled(declared(codec / "model.safetensors"))
    assert (alone["source"], list(alone["sha256"])) == ("model.safetensors", ["model.safetensors"])
    few = settled(declared(codec, sha256={"config.json": file_hash(codec / "config.json")}))
    assert list(few["sha256"]) == ["config.json"], "what is declared is what is promised"


def test_what_a_package_brings_is_named_as_it_is(codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_codec").mkdir()
    (tmp_path / "acme_codec" / "__init__.py").touch()
    codec.rename(tmp_path / "acme_codec" / "inner")
    monkeypatch.syspath_prepend(tmp_path)
    found = settled(declared("package:acme_codec/inner"))
    assert (found["source"], found["parameters"]) == ("package:acme_codec/inner", 15)
    assert altered(found) == []
    (tmp_path / "acme_codec" / "inner" / "config.json").write_text("{ }")
    assert altered(found) == ["config.json: changed"]
    assert altered(found | {"source": "package:acme_codec/elsewhere"}) is None
    assert altered(found | {"source": "package:acme_gone/inner"}) is None


def test_what_was_a_path_is_found_where_one_says(codec: Path, tmp_path: Path) -> None:
    found = settled(declared(codec))
    assert altered(found) is None
    assert altered(found, [tmp_path / "none", tmp_path]) == []
    assert altered(found, [codec]) == []
    (codec / "model.safetensors").unlink()
    assert altered(found, [tmp_path]) == ["model.safetensors: missing"]


def test_what_is_on_a_hub_is_taken_as_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    digests = {"model.safetensors": "a" * 64, "config.json": "b" * 64}
    found = settled(declared(f"acme/codec@{COMMIT}", parameters=9, sha256=digests))
    assert (found["parameters"], found["sha256"], found["tensors"]) == (9, digests, {})
    assert altered(found) is None
    known = hub.parse(found["source"])
    assert known is not None
    folder = hub.snapshot_folder(known)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert altered(found) == ["config.json: changed"], "what was not fetched yet is not missed"
    (folder / "config.json").rename(folder / "other.json")
    assert altered(found) is None
    with pytest.raises(NexusError, match=r"has no file '\.\./other'"):
        altered(found | {"sha256": {"../other": "a" * 64}})


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"source": "nowhere"}, "Name a folder or file that is there"),
        ({"source": "acme/codec@main"}, r"by its commit: owner/name@COMMIT"),
        ({"source": f"acme/codec@{COMMIT}"}, "Declare how many `parameters` it has"),
        ({"sha256": {"config.json": "a" * 64, "x.json": "b" * 64}}, r"config\.json: changed, x\.json: missing"),
    ],
)
def test_what_cannot_be_relied_on_is_refused(codec: Path, change: dict[str, object], advice: str) -> None:
    with pytest.raises(NexusError, match=advice):
        settled(declared(**{"source": codec, **change}))


def test_weights_of_another_format_are_declared(tmp_path: Path) -> None:
    (tmp_path / "codec.onnx").write_bytes(b"weights")
    with pytest.raises(NexusError, match="no safetensors file of it is here"):
        settled(declared(tmp_path / "codec.onnx"))
    assert settled(declared(tmp_path / "codec.onnx", parameters=7))["parameters"] == 7


def test_one_that_two_towers_need_is_counted_once(codec: Path) -> None:
    one = settled(declared(codec))
    assert counted([{"tower": "a", **one}, {"tower": "b", **one}, {"tower": "b", **one, "name": "other"}]) == 30


def test_a_teacher_is_no_decoder(codec: Path) -> None:
    one = {"tower": "speech"} | settled(declared(codec))
    known = sorted(one["tensors"])
    assert disguised([one], {"large": {"parameters": 24, "tensors": known}}) == [], "its own codec, published apart"
    assert disguised([one], {"unknown": {"parameters": 20, "tensors": None}}) == []
    (line,) = disguised([one], {"small": {"parameters": 23, "tensors": known}})
    assert line == "decoder codec of tower speech: it holds 12 of the 23 parameters of small, more than half"


@pytest.mark.parametrize(
    ("source", "teacher", "inside"),
    [
        (f"hub:acme/tts@{COMMIT}/codec", "acme/tts", True),
        (f"acme/tts-codec@{COMMIT}", "acme/tts", False),
        ("package:acme/teachers/tts/codec", "package:acme/teachers/tts/", True),
        ("package:acme/teachers/tts-codec", "package:acme/teachers/tts", False),
        ("tts", "tts", False),
    ],
)
def test_a_decoder_lies_in_no_teachers_files(source: str, teacher: str, inside: bool) -> None:
    one = {"tower": "speech", "name": "codec", "source": source, "tensors": {}}
    found = disguised([one], {"tts": {"parameters": 9, "source": teacher}})
    assert [line.endswith("it lies in the files of tts") for line in found] == [True] * inside
