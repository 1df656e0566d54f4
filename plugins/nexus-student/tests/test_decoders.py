"""A tower whose answers go through a model of somebody else's: in its own file, in the manifest, in the sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import Decoder, NexusError
from nexus_student.commands.tower import TowerCommand, add, listed, remove
from nexus_student.maker import NexusMaker
from nexus_student.stages.manifest import read_manifest
from nexus_torch.files import file_hash, read_tensors, write_tensors

HUB = Decoder(name="vocoder", source=f"acme/vocoder@{'0' * 40}", licence="Apache-2.0", parameters=1000)


@pytest.fixture
def codec(tmp_path: Path) -> Path:
    """A checkpoint of somebody else's: classes from codes."""
    folder = tmp_path / "codec"
    book = torch.randn(3, 5, generator=torch.Generator().manual_seed(9))
    write_tensors(folder / "model.safetensors", {"book": book})
    (folder / "config.json").write_text('{"codes": 5}')
    return folder


@pytest.fixture
def trained(world: Any, helpers: Any, tmp_path: Path) -> Callable[..., Path]:
    """The artefact of a tower that declares these decoders."""

    def train(*declared: Decoder, name: str = "digits", change: Callable[[Any], None] = lambda _: None) -> Path:
        class Speaks(helpers.Eyes):  # type: ignore[name-defined, misc]
            def decoders(self) -> list[Decoder]:
                return list(declared)

        torch.manual_seed(3)
        maker, profiles = NexusMaker(**helpers.OPTIONS), [world.profiles["digits"]]
        student = maker.load(world.core, Speaks(), profiles, name=name, component="eyes")
        change(student.module.tower(name).own)
        student.save(tmp_path / "train" / name / "tower")
        return tmp_path / "train" / name

    return train


@pytest.fixture
def made(world: Any, helpers: Any, tmp_path: Path) -> Callable[..., Path]:
    """The release of prose, code and this tower for digits, through the stages."""

    def release(tower: Path, **changes: Any) -> Path:
        towers = {name: world.folder / "train" / name for name in ("prose", "code")} | {"digits": tower}
        artefacts = {
            "core": {"core": world.core}, "train": towers,
            "route": {name: world.folder / "route" / name / "artefact" for name in ("prose", "code")},
            "profile": {name: world.folder / "profile" / name for name in towers},
        }  # fmt: skip
        helpers.run_stage("assemble", tmp_path / "assemble", subject="student", artefacts=artefacts)
        given = helpers.released(world, **changes)
        given["artefacts"] |= {"assemble": {"student": tmp_path / "assemble" / "artefact"}}
        return Path(helpers.run_stage("release", tmp_path / "release", **given).artefact)

    return release


def test_a_release_lists_and_counts_them_apart(
    codec: Path, trained: Callable[..., Path], made: Callable[..., Path], world: Any, tmp_path: Path
) -> None:
    release = made(trained(Decoder(name="codec", source=str(codec), licence="MIT"), HUB))
    manifest, plain = read_manifest(release), read_manifest(world.release)
    first, second = manifest["decoders"]
    assert (first["name"], first["tower"], first["source"], first["licence"]) == ("codec", "digits", "codec", "MIT")
    assert first["sha256"] == {name: file_hash(codec / name) for name in ("config.json", "model.safetensors")}
    assert (first["parameters"], second["parameters"]) == (15, 1000)
    assert manifest["parameters"] == plain["parameters"] | {"decoders": 1015}, "neither the tower's nor the student's"
    assert not [path for path in release.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()]
    card = (release / "README.md").read_text()
    assert f"| vocoder | digits | acme/vocoder@{'0' * 40} | Apache-2.0 | 1,000 |" in card
    assert "are not in this release" in card
    shown = json.loads((release / "table.json").read_text())
    assert any("codec of digits (15 parameters)" in note for note in shown["notes"])


def test_a_release_that_needs_none_says_so_in_its_manifest_alone(world: Any) -> None:
    manifest = read_manifest(world.release)
    assert (manifest["decoders"], manifest["parameters"]["decoders"]) == ([], 0)
    for path in (path for path in world.release.rglob("*") if path.is_file() and path.name != "manifest.json"):
        assert b"decoders" not in path.read_bytes().lower(), path


def test_they_count_towards_the_whole(trained: Callable[..., Path], made: Callable[..., Path]) -> None:
    large = Decoder(name="large", source=HUB.source, licence="MIT", parameters=500_000)
    with pytest.raises(NexusError, match="parameters and 500,000 of decoders of others, more than half of all"):
        made(trained(large))


def test_none_of_their_tensors_is_shipped(
    codec: Path, trained: Callable[..., Path], made: Callable[..., Path]
) -> None:
    book = read_tensors(codec / "model.safetensors")["book"]

    def keep(own: Any) -> None:
        own.register_buffer("book", book)

    with pytest.raises(NexusError, match=r"towers/digits/own\.safetensors: own\.book is a tensor of a decoder"):
        made(trained(Decoder(name="codec", source=str(codec), licence="MIT"), change=keep))


def test_a_teacher_under_another_name_is_refused(
    trained: Callable[..., Path], made: Callable[..., Path], helpers: Any
) -> None:
    inside = trained(Decoder(name="own", source="package:nexus_specs/testing", licence="MIT", parameters=5))
    cards = helpers.CARDS | {"digits": {"share": 0.9, "source": "package:nexus_specs"}}
    with pytest.raises(NexusError, match="decoder own of tower digits: it lies in the files of digits"):
        made(inside, teachers=cards)


def test_they_come_and_go_with_their_tower(
    world: Any, release: Path, trained: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert add(release, str(trained(HUB, name="seen")), world.desk) == "seen"
    assert read_manifest(release)["parameters"]["decoders"] == 1000
    assert f"needs vocoder ({HUB.source})" in listed(release)
    assert TowerCommand(release=release, json=True)(world.desk) == 0
    rows = {row["name"]: row["decoders"] for row in json.loads(capsys.readouterr().out)}
    assert rows["seen"] == [
        {"name": "vocoder", "source": HUB.source, "licence": "Apache-2.0", "parameters": 1000}
    ]
    assert rows["prose"] == []
    remove(release, "seen")
    assert read_manifest(release)["decoders"] == []


def test_what_is_no_decoder_is_refused(trained: Callable[..., Path]) -> None:
    with pytest.raises(NexusError, match=r"gave a dict\. Give nexus_specs\.Decoder"):
        trained({"name": "codec"})  # type: ignore[arg-type]
