"""What a release holds, to the byte."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nexus_specs import Choice, NexusError, Sample
from nexus_student.cores import open_core, read_tokenizer
from nexus_student.specs import read_spec
from nexus_student.stages.contract import number, percent
from nexus_student.stages.manifest import read_manifest
from nexus_student.stages.sizes import files_of
from nexus_torch.files import file_hash


def test_a_text_beside_a_picture_is_not_learned(helpers: Any, tmp_path: Path) -> None:
    both = Sample(key="x", fields={"text": "a caption", "image": helpers.image(1).fields["image"]})
    context = helpers.run_stage("route", tmp_path, teachers={"digits": {}}, data={"train": [both]})
    assert not (context.artefact / "row").exists()


def test_the_layout(world: Any) -> None:
    files = files_of(world.release)
    assert {path.split("/")[0] for path in files} == {"model", "manifest.json", "README.md", "table.json"}
    for path in ("model/config.json", "model/core/tokenizer.json", "model/towers/prose/row.safetensors",
                 "model/towers/prose/vocabulary/tokenizer.json", "model/towers/digits/own.safetensors"):  # fmt: skip
        assert path in files
    assert not any("vocabularies" in path for path in files)


def test_the_manifest_is_what_the_contract_says(world: Any) -> None:
    manifest = read_manifest(world.release)
    assert [each["name"] for each in manifest["capabilities"]] == ["prose", "code", "digits"]
    first = manifest["capabilities"][0]
    assert first["retention"] == pytest.approx(2.9 / 3)
    assert (first["metric"], first["metric_options"], first["data"]["name"]) == ("bits_per_byte", {}, "jsonl")
    assert (first["share"], first["passed"], first["tier"]) == (0.95, True, 1)
    assert first["gap_closed"] == pytest.approx(0.8)
    assert manifest["capabilities"][1]["gap_closed"] is None
    sizes = manifest["parameters"]
    assert sizes["student"] == sizes["core"] + sum(sizes["towers"].values())
    assert sizes["teachers"] == 850_000
    assert manifest["teachers"]["prose"]["source"] == "package:teachers/prose"
    assert manifest["plugins"] == {"nexus-student": "0.1.0"}
    assert manifest["memory"]["core"] + manifest["memory"]["largest_tower"] <= manifest["memory"]["all"]
    assert manifest["files"] == {path: file_hash(world.release / path) for path in manifest["files"]}
    assert set(manifest["files"]) == set(files_of(world.release)) - {"manifest.json"}


def test_the_card_shows_the_table(world: Any) -> None:
    card = (world.release / "README.md").read_text()
    shown = json.loads((world.release / "table.json").read_text())
    assert all(f"| {row[0]} |" in card for row in shown["rows"])
    assert "| prose | 1.000 | 1.100 | 1.500 | 4.000 | 96.7 % [97.0 %, 100.0 %] | 80.0 % |" in card
    assert "not judged" in card
    assert "MIT" in card


def test_the_same_release_twice_is_the_same_bytes(world: Any, helpers: Any, tmp_path: Path) -> None:
    again = helpers.run_stage("release", tmp_path, **helpers.released(world))
    assert files_of(again.artefact) == files_of(world.release)


def broken(world: Any, helpers: Any, folder: Path, *verdicts: Any, **changes: Any) -> Any:
    given = helpers.released(world, **changes)
    given["artefacts"] = given["artefacts"] | {
        "evaluate": {"student": helpers.evaluated(folder / "evaluate", verdicts)}
    }
    return helpers.run_stage("release", folder / "release", **given)


def test_too_large_is_refused_whatever_is_allowed(world: Any, helpers: Any, tmp_path: Path) -> None:
    made = world.folder / "assemble" / "artefact"
    small = {
        name: facts | {"parameters": 100} for name, facts in json.loads((made / "teachers.json").read_text()).items()
    }
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model").symlink_to(made / "model")
    (tmp_path / "made" / "teachers.json").write_text(json.dumps(small))
    given = helpers.released(world, options={"allow_below": True})
    given["artefacts"] = given["artefacts"] | {"assemble": {"student": tmp_path / "made"}}
    with pytest.raises(NexusError, match=r"tower prose: .* parameters, more than half") as error:
        helpers.run_stage("release", tmp_path / "release", **given)
    assert "the release:" in str(error.value)


def test_a_path_of_this_machine_stays_here(world: Any, helpers: Any, tmp_path: Path) -> None:
    cards = helpers.CARDS | {"prose": {"share": 0.9, "source": "/secret/place/prose", "tier": 2}}
    context = broken(world, helpers, tmp_path, *map(helpers.verdict, ("prose", "code")), teachers=cards)
    assert "/secret" not in (context.artefact / "manifest.json").read_text()
    manifest = read_manifest(context.artefact)
    assert (manifest["capabilities"][0]["share"], manifest["capabilities"][0]["tier"]) == (0.9, 2)


def test_undefined_numbers_are_null(world: Any, helpers: Any, tmp_path: Path) -> None:
    odd = replace(helpers.verdict("prose"), floor=1.0, metric=Choice(kind="metric", name="x"))
    with pytest.raises(NexusError, match="kept undefined"):
        broken(world, helpers, tmp_path, replace(odd, retention_low=0.1))
    assert number(float("nan")) is None
    assert percent(None) == "undefined"
    context = broken(world, helpers, tmp_path, replace(odd, student_score=float("nan")))
    assert "undefined" in (context.artefact / "README.md").read_text()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("core/model.safetensors", b"\x10", "core' is damaged or not whole"),
        ("core/model.safetensors", None, "core' is damaged or not whole"),
        ("core/config.json", b"{", "core' is damaged or not whole"),
        ("core/tokenizer.json", b"{}", "core' is damaged or not whole"),
        ("towers/prose/tower.json", b'{"schema": "nexus.tower/1"}', "tower.json' lacks something"),
        ("towers/prose/tower.json", b"[]", "tower.json' has the schema 'list'"),
    ],
)
def test_what_is_damaged_is_named(world: Any, tmp_path: Path, file: str, content: bytes | None, said: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(world.release / "model", model)
    (model / file).unlink()
    if content is not None:
        (model / file).write_bytes(content)
    with pytest.raises(NexusError, match=said):
        opened(model)


def opened(model: Path) -> None:
    read_tokenizer(model / "core")
    open_core(model)
    read_spec(model / "towers" / "prose")
