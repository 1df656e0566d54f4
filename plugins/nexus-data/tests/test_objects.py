"""JSON files that are one whole."""

import json
from pathlib import Path
from typing import Any

import pytest
from nexus_data.objects import Json
from nexus_data.tables import Jsonl
from nexus_specs import Installed, NexusError, reader_for

ROWS = [{"text": "one", "id": 1}, {"text": "zwei ü", "id": 2}]


def texts(place: Path, content: str, **options: Any) -> list[str]:
    place.write_text(content, encoding="utf-8")
    return [each.fields["text"] for each in Json(parts={"train": str(place)}, **options).samples("train")]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        json.dumps({"version": 1, "data": ROWS}),
        "\n".join(map(json.dumps, ROWS)),
        "\ufeff" + json.dumps(ROWS, ensure_ascii=False),
    ],
)
def test_a_list_of_objects_however_it_is_written(tmp_path: Path, content: str) -> None:
    assert texts(tmp_path / "rows.json", content) == ["one", "zwei ü"]


def test_one_object_alone_is_one_row(tmp_path: Path) -> None:
    assert texts(tmp_path / "row.json", json.dumps({"text": "one", "notes": [{"a": 1}]})) == ["one"]
    (tmp_path / "row.json").write_text(json.dumps({"messages": [{"role": "user", "content": "Hi"}]}))
    (only,) = Json(parts={"train": str(tmp_path / "row.json")}).samples("train")
    assert only.fields["messages"] == [{"role": "user", "content": "Hi"}]


def test_rows_are_those_of_json_lines(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    for split in ("train", "development", "held_out"):
        found, known = (
            [sample.key for sample in kind(path=str(tmp_path / name), columns={"source": "id"}).samples(split)]
            for kind, name in ((Json, "rows.json"), (Jsonl, "rows.jsonl"))
        )
        assert found == known


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "one"},', r"rows\.json is no JSON that can be read \(.*line 1"),
        ("3", "holds int, no list of objects"),
        ('{"a": [{"x": 1}], "b": [{"x": 1}]}', "holds several lists: a, b"),
        ("[" * 100_000, r"is no JSON that can be read"),
    ],
)
def test_what_is_no_list_is_said(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(NexusError, match=message):
        texts(tmp_path / "rows.json", content)


def test_what_is_no_object_is_reported_by_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert texts(tmp_path / "rows.json", '[{"text": "one"}, 5]') == ["one"]
    assert "rows.json:2: is int, not an object" in capsys.readouterr().err


def test_one_that_is_too_large_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_data.objects.LARGEST", 10)
    with pytest.raises(NexusError, match=r"one object on each line: jq -c '\.\[\]' rows\.json > rows\.jsonl"):
        texts(tmp_path / "rows.json", json.dumps(ROWS))


def test_it_is_found_by_its_ending_and_a_page_about_the_data_is_not(tmp_path: Path) -> None:
    (tmp_path / "alpaca.json").touch()
    assert reader_for(str(tmp_path), Installed()) == "json"
    (tmp_path / "dataset_info.json").touch()
    (tmp_path / "alpaca.json").rename(tmp_path / "train.jsonl")
    assert reader_for(str(tmp_path), Installed()) == "jsonl"
