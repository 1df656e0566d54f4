"""From parts to a release: route, assemble, release; the contract, the manifest, the table, the card."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import nexus_student.plugin as plugin
import pytest
import torch
from nexus_specs import Choice, NexusError, Profile, Sample, StageComponent, Verdict, content_key, plain
from nexus_specs.testing import LocalContext, blueprint
from nexus_specs.testing.descriptors import descriptors, find
from nexus_student.stages import assemble, manifest, release, route
from nexus_student.stages.contract import Promise, broken, number, percent
from nexus_student.stages.sizes import bytes_of, copies, files_of, size_of
from nexus_torch.identity import file_hashes
from nexus_torch.profiles import write_profile
from safetensors.torch import save_file

VERDICT = Verdict(
    capability="keypad tones", teacher="tones", tower="tones", metric=Choice(kind="metric", name="accuracy"),
    data=Choice(kind="reader", name="keypad-tones", options={"count": 9}), teacher_score=0.94, student_score=0.93,
    forced_score=0.93, control_score=0.8, floor=0.1, retention_low=0.96, retention_high=1.0, gap_judged=True, items=50,
)  # fmt: skip


def declared(name: str) -> StageComponent:
    found = find(descriptors(plugin), "stage", name)
    assert isinstance(found, StageComponent)
    return found


def promise(**changes: Any) -> Promise:
    about = {"verdict": VERDICT, "share": 0.95, "tier": 1, "tower_size": 40, "teacher_size": 100}
    return Promise(**about | changes)


def student(folder: Path) -> Path:
    """An assembled student of a core and one tower, a few numbers each."""
    model = folder / "model"
    for seed, name in enumerate(("core", "towers/tones")):
        (model / name).mkdir(parents=True)
        weight = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))
        save_file({"weight": weight}, model / name / "own.safetensors")
    (model / "config.json").write_text('{"model_type": "nexus"}', encoding="utf-8")
    facts = {"tones": {"family": "ast", "head": "AST", "parameters": 100, "tensors": []}}
    (folder / "teachers.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def context(folder: Path, verdict: Verdict = VERDICT, **changes: Any) -> LocalContext:
    made = student(folder / "made")
    judged = folder / "judged"
    judged.mkdir()
    (judged / "verdicts.json").write_text(json.dumps({"capabilities": [plain(verdict)]}), encoding="utf-8")
    card = {"share": 0.95, "source": "/somewhere/tones", "licence": "MIT", "summary": "", "tier": None}
    about = {
        "subject": "student",
        "card": {"tier": 1},
        "teachers": {"tones": card},
        "artefacts": {"assemble": {"student": made}, "evaluate": {"student": judged}},
        "versions": {"nexus-student": "0.1.0", "nexus-specs": "0.1.0"},
    }
    return LocalContext(folder, declared("release"), **about | changes)


def test_contract_names_what_does_not_hold() -> None:
    assert broken([promise()], 140, 300, []) == {"capabilities": [], "sizes": [], "tensors": []}
    found = broken([promise(share=0.97, tower_size=51)], 151, 300, ["a: b"])
    assert "kept 98.8 % (at least 96.0 %), asked for 97.0 %" in found["capabilities"][0]
    assert found["sizes"] == [
        "tower tones: 51 parameters, more than half of tones's 100",
        "the release: 151 parameters, more than half of all teachers' 300",
    ]
    assert found["tensors"] == ["a: b is a teacher's tensor"]


def test_numbers_that_json_has_not() -> None:
    assert [number(value) for value in (1.5, None, math.nan, math.inf)] == [1.5, None, None, None]
    assert [percent(value) for value in (0.5, None, math.nan)] == ["50.0 %", "undefined", "undefined"]


def test_sizes_count_everything_that_is_shipped(tmp_path: Path) -> None:
    model = student(tmp_path) / "model"
    assert assemble.sizes(model) == {"core": 20, "tones": 20, "student": 40}
    assert size_of(model / "core") == 20
    assert bytes_of(model) > 160
    assert set(files_of(model)) == {"config.json", "core/own.safetensors", "towers/tones/own.safetensors"}
    ((_, known),) = file_hashes(model / "core" / "own.safetensors")
    assert list(copies(model, frozenset({known}))) == ["core/own.safetensors: weight"]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/there/models/tones", "tones"),
        ("acme/tones@" + "0" * 40, "acme/tones@" + "0" * 40),
        ("hub:acme/tones/inner", "hub:acme/tones/inner"),
        ("acme/lora@" + "1" * 40 + "+/there/base", "acme/lora@" + "1" * 40 + "+base"),
        ("package:acme/tones", "package:acme/tones"),
    ],
)
def test_a_source_is_told_by_its_name_on_a_hub_and_never_by_a_path_of_this_machine(source: str, shown: str) -> None:
    assert release._told({"source": source}) == {"source": shown}


def test_release_has_a_manifest_of_all_its_files(tmp_path: Path) -> None:
    made = context(tmp_path)
    release.Release().run(made)
    found = manifest.read_manifest(made.artefact)
    assert {name: value for name, value in files_of(made.artefact).items() if name != "manifest.json"} == found["files"]
    (entry,) = found["capabilities"]
    assert entry["passed"] is True
    assert entry["data"] == {"kind": "reader", "name": "keypad-tones", "options": {"count": 9}, "hash": ""}
    assert found["parameters"] == {
        "student": 40, "teachers": 100, "towers": {"tones": 20}, "core": 20, "decoders": 0
    }  # fmt: skip
    assert found["teachers"]["tones"]["source"] == "tones", "no path of this machine"
    assert found["memory"]["largest_tower"] > 0
    card = (made.artefact / "README.md").read_text(encoding="utf-8")
    assert "| keypad tones | 0.940 | 0.930 |" in card
    assert "MIT" in card
    shown = json.loads((made.artefact / "table.json").read_text(encoding="utf-8"))
    assert shown["rows"][0][-1] == "pass"


def test_release_refuses_a_broken_contract_unless_allowed(tmp_path: Path) -> None:
    below = dataclasses.replace(VERDICT, retention_low=0.5, gap_judged=False)
    made = context(tmp_path, below)
    with pytest.raises(NexusError, match=r"keypad tones: kept .*\n.*--allow-below"):
        release.Release().run(made)
    release.Release(allow_below=True).run(made)
    found = manifest.read_manifest(made.artefact)
    assert found["capabilities"][0]["passed"] is False
    shown = manifest.table(found)
    assert shown["rows"][0][-1] == "FAIL (< 95.0 %)"
    assert "not judged" in shown["rows"][0]
    assert "Below the share that was asked for: keypad tones." in shown["notes"]


def test_a_teachers_tensor_is_refused_whatever_is_allowed(tmp_path: Path) -> None:
    made = context(tmp_path)
    model = tmp_path / "made"
    ((_, known),) = file_hashes(model / "model" / "core" / "own.safetensors")
    facts = {"tones": {"family": "ast", "head": "AST", "parameters": 100, "tensors": [known]}}
    (model / "teachers.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(NexusError, match="is a teacher's tensor"):
        release.Release(allow_below=True).run(made)


def test_table_says_what_was_not_compared_or_scored(tmp_path: Path) -> None:
    made = context(tmp_path)
    release.Release().run(made)
    found = manifest.read_manifest(made.artefact)
    assert not any("never seen" in note for note in manifest.table(found)["notes"])
    found["teachers"]["tones"] |= {"tensors": None, "unknown": 7}
    found["parameters"]["towers"]["new"] = 5
    notes = manifest.table(found)["notes"]
    assert any("never seen: 7 of tones." in note for note in notes)
    assert any("no hashes were recorded" in note for note in notes)
    assert "Towers that were added and not scored: new." in notes
    empty = {**found, "capabilities": [], "teachers": {}}
    assert not any("forced" in note for note in manifest.table(empty)["notes"])


def test_what_is_no_release_says_so(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match="is no release"):
        manifest.read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema": "nexus.release/9"}', encoding="utf-8")
    with pytest.raises(NexusError, match=r"this version reads 'nexus\.release/1'"):
        manifest.read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ({"parameters": None}, "lacks parameters"),
        ({"capabilities": {}}, "lacks capabilities"),
        ({"parameters": {"student": 1}}, r"parameters\.teachers, parameters\.towers"),
        ({"capabilities": [3]}, r"lacks capabilities\.0\.name\."),
        ({"capabilities": [{"name": "x", "teacher": "y"}]}, r"capabilities\.0\.tower.*, teachers\.y"),
        ({"capabilities": [], "teachers": {"y": {}}}, r"lacks teachers\.y\.parameters"),
    ],
)
def test_a_manifest_that_is_not_whole_says_what_it_lacks(tmp_path: Path, change: dict[str, Any], lacking: str) -> None:
    made = context(tmp_path)
    release.Release().run(made)
    found = json.loads((made.artefact / "manifest.json").read_text(encoding="utf-8"))
    (made.artefact / "manifest.json").write_text(json.dumps(found | change), encoding="utf-8")
    with pytest.raises(NexusError, match=lacking):
        manifest.read_manifest(made.artefact)


@pytest.mark.parametrize("stage", [assemble.Assemble, release.Release, route.Route])
def test_estimates_need_nothing(stage: Any, tmp_path: Path) -> None:
    assert stage().estimate(LocalContext(tmp_path)).seconds == 2.0


@pytest.mark.parametrize("recorded", [True, False])
def test_teachers_are_kept_with_their_hashes(recorded: bool, tmp_path: Path) -> None:
    profile = Profile(teacher="tones", capability="tones", blueprint=blueprint(), layers=())
    write_profile(profile, tmp_path)
    if recorded:
        (tmp_path / "tensors.json").write_text('{"tensors": ["b", "a"]}', encoding="utf-8")
    found = assemble._facts(tmp_path)
    assert found["parameters"] == blueprint().parameters
    assert "unknown" not in found
    (tmp_path / "tensors.json").write_text('{"tensors": [], "unknown": 3}', encoding="utf-8")
    assert assemble._facts(tmp_path)["unknown"] == 3
    assert found["tensors"] == (["a", "b"] if recorded else None)


def test_damaged_hashes_are_told(tmp_path: Path) -> None:
    (tmp_path / "tensors.json").write_text("{}", encoding="utf-8")
    with pytest.raises(NexusError, match="is damaged"):
        assemble._hashes(tmp_path)


def sample(**fields: Any) -> Sample:
    return Sample(key=content_key({"text": str(fields)}), fields=fields)


def test_route_learns_a_row_for_text_and_none_for_other_media(tmp_path: Path) -> None:
    texts = [sample(text=f"def parse_{at}(value): return value\n" * 20, source=f"f{at // 2}") for at in range(30)]
    for name, data, rows in (("prose", texts, True), ("digits", [sample(image=b"", label=1)], False)):
        made = LocalContext(tmp_path / name, declared("route"), subject=name, teachers={name: {}}, data={"train": data})
        route.Route().run(made)
        shown = json.loads((made.artefact / "table.json").read_text(encoding="utf-8"))
        assert shown["title"] == f"Router: {name}"
        assert (made.artefact / "row" / "row.json").is_file() is rows


def test_assemble_puts_core_towers_and_rows_together(tmp_path: Path) -> None:
    made = student(tmp_path / "made") / "model"
    (made / "core" / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 1}', encoding="utf-8")
    (made / "towers" / "tones" / "tower.json").write_text("{}", encoding="utf-8")
    (tmp_path / "routed" / "row").mkdir(parents=True)
    (tmp_path / "routed" / "row" / "row.json").write_text("{}", encoding="utf-8")
    save_file({"theta": torch.zeros(3)}, tmp_path / "routed" / "row" / "row.safetensors")
    write_profile(Profile(teacher="tones", capability="tones", blueprint=blueprint(), layers=()), tmp_path)
    artefacts = {
        "core": {"core": made}, "train": {"tones": made / "towers" / "tones"}, "route": {"tones": tmp_path / "routed"},
        "profile": {"tones": tmp_path},
    }  # fmt: skip
    made_here = LocalContext(tmp_path / "here", declared("assemble"), subject="student", artefacts=artefacts)
    assemble.Assemble().run(made_here)
    found = files_of(made_here.artefact)
    assert {"model/config.json", "model/towers/tones/row.json", "table.json", "teachers.json"} <= set(found)
    config = json.loads((made_here.artefact / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "nexus"
