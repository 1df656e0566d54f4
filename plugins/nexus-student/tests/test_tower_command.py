"""`nexus tower`: towers are listed, added and removed, and the others stay as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import NexusError
from nexus_student.commands.tower import TowerCommand, add, listed, remove
from nexus_student.maker import NexusMaker
from nexus_student.model import NexusModel
from nexus_student.stages.manifest import read_manifest, table
from nexus_student.stages.sizes import files_of
from nexus_torch.files import file_hash

IDS = torch.tensor([[0, 5, 9, 17, 60, 33]])


def outputs(world: Any, release: Path, *names: str) -> dict[str, bytes]:
    """Forced outputs, to the bit."""
    model = NexusModel.from_pretrained(release / "model", lookup=world.desk)
    with torch.no_grad():
        texts = {name: model(IDS, tower=name).logits for name in names if name != "digits"}
        seen = model(tower="digits", pixels=torch.ones(1, 4, 4)).output if "digits" in names else torch.zeros(1)
    return {name: each.numpy().tobytes() for name, each in (texts | {"digits": seen}).items()}


def tower_files(release: Path, *names: str) -> dict[str, str]:
    return {
        path: found
        for path, found in files_of(release / "model").items()
        if path.split("/")[:2] in [["towers", n] for n in names]
    }


def test_others_stay_identical_to_the_bit(world: Any, release: Path) -> None:
    others = ("prose", "digits")
    files, forced = tower_files(release, *others), outputs(world, release, *others)
    remove(release, "code")
    assert (tower_files(release, *others), outputs(world, release, *others)) == (files, forced)
    manifest = read_manifest(release)
    assert "code" not in manifest["parameters"]["towers"]
    assert [each["name"] for each in manifest["capabilities"]] == ["prose", "digits"]
    assert "code" not in manifest["teachers"]
    assert add(release, f"{world.release}#code", world.desk) == "code"
    assert (tower_files(release, *others), outputs(world, release, *others)) == (files, forced)
    manifest = read_manifest(release)
    assert [each["name"] for each in manifest["capabilities"]] == ["prose", "digits", "code"]
    assert manifest["parameters"] == read_manifest(world.release)["parameters"]
    assert manifest["files"] == {path: file_hash(release / path) for path in manifest["files"]}
    assert outputs(world, release, "code") == outputs(world, world.release, "code")


def test_a_tower_that_was_just_trained(world: Any, release: Path) -> None:
    assert TowerCommand(action="add", release=release, source=str(world.folder / "train" / "verse"))(world.desk) == 0
    assert any("not scored: verse" in note for note in table(read_manifest(release))["notes"])
    assert "verse" in listed(release)


def test_towers_are_listed(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert TowerCommand(release=world.release)(world.desk) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("digits")
    assert TowerCommand(release=world.release, json=True)(world.desk) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["code", "digits", "prose"]


def test_removing_by_command(world: Any, release: Path) -> None:
    for name in ("code", "prose", "digits"):
        assert TowerCommand(action="remove", release=release, source=name)(world.desk) == 0
    manifest = read_manifest(release)
    assert manifest["parameters"]["towers"] == {}
    assert manifest["memory"]["largest_tower"] == 0


@pytest.mark.parametrize("action", ["add", "remove"])
def test_what_is_missing_is_said(world: Any, release: Path, action: str) -> None:
    with pytest.raises(NexusError, match=rf"`nexus tower {action}"):
        TowerCommand(action=action, release=release)(world.desk)


def test_what_cannot_be_done(world: Any, release: Path, tmp_path: Path, helpers: Any) -> None:
    with pytest.raises(NexusError, match=r"has no tower 'nope'. It has: code, digits, prose"):
        remove(release, "nope")
    for name in ("../towers/prose", "..", ""):
        with pytest.raises(NexusError, match=r"has no tower '.*'. It has: code, digits, prose"):
            remove(release, name)
    with pytest.raises(NexusError, match=r"artefact' has no tower 'nope'. It has: code, digits"):
        add(release, f"{world.release}#nope", world.desk)
    with pytest.raises(NexusError, match="has a tower 'prose' already"):
        add(release, str(world.folder / "train" / "prose"), world.desk)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "manifest.json").write_text((release / "manifest.json").read_text())
    with pytest.raises(NexusError, match="has no model"):
        remove(tmp_path / "empty", "prose")
    for content, said in (("[]", "holds a list"), ("{", "is not readable"), (None, "is no release: there is no man")):
        (tmp_path / "empty" / "manifest.json").unlink()
        (tmp_path / "empty" / "manifest.json").write_text(content or "")
        if content is None:
            (tmp_path / "empty" / "manifest.json").unlink()
        with pytest.raises(NexusError, match=said):
            listed(tmp_path / "empty")
    NexusMaker(**helpers.OPTIONS).adopt("", tmp_path / "core")
    other = NexusMaker().load(tmp_path / "core", helpers.Words("core"), [], name="new", component="words")
    other.save(tmp_path / "tower")
    with pytest.raises(NexusError, match="trained with another core"):
        add(release, str(tmp_path / "tower"), world.desk)


def test_a_tower_too_large_for_its_teacher_does_not_enter(world: Any, release: Path, tmp_path: Path) -> None:
    remove(release, "code")
    other = Path(shutil.copytree(world.release, tmp_path / "other"))
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["teachers"]["code"]["parameters"] = 10
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NexusError, match="more than half of its teacher's"):
        add(release, f"{other}#code", world.desk)
    assert not (release / "model" / "towers" / "code").exists()
