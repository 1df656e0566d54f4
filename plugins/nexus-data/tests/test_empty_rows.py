"""A row in which nothing stands is left out and told; it ends no corpus, and no advice is given about its columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from nexus_data.hub.reader import Hub
from nexus_data.tables import Csv, Jsonl, Parquet
from nexus_specs import NexusError
from nexus_specs.testing.hub import LocalHub

ROWS = ["first", None, "third", "", "fifth"]


def csv(path: Path) -> Csv:
    path.write_text("text,label\n" + "".join(f"{text or ''},1\n" for text in ROWS))
    return Csv(parts={"train": str(path)})


def jsonl(path: Path) -> Jsonl:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in ROWS))
    return Jsonl(parts={"train": str(path)})


def parquet(path: Path) -> Parquet:
    pyarrow.parquet.write_table(pyarrow.table({"text": ROWS}), path)
    return Parquet(parts={"train": str(path)})


@pytest.mark.parametrize("write", [csv, jsonl, parquet])
def test_it_is_left_out_and_told(
    write: Callable[[Path], Csv | Jsonl | Parquet], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = list(write(tmp_path / f"rows.{write.__name__}").samples("train"))
    assert [sample.fields["text"] for sample in samples] == ["first", "third", "fifth"]
    said = capsys.readouterr().err
    assert said.startswith("2 empty rows were left out: ")
    assert "broken" not in said


def test_one_of_a_hub_is_left_out_as_well(
    server: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "words" / "default" / "train" / "0000.parquet"
    place.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.table({"text": ROWS}), place)
    server.add("acme/words", tmp_path / "words", kind="dataset")
    reader = Hub(id="acme/words", splits={"train": "train", "development": "train", "held_out": "test"})
    assert [sample.fields["text"] for sample in reader.samples("train")] == ["first", "third", "fifth"]
    assert "2 empty rows were left out" in capsys.readouterr().err


def test_many_of_them_are_no_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one"}\n' + '{"text": null}\n' * 2_000)
    assert len(list(Jsonl(parts={"train": str(path)}, malformed=0).samples("train"))) == 1
    assert "2000 empty rows were left out: rows.jsonl:2, rows.jsonl:3, " in capsys.readouterr().err


def test_what_is_no_text_is_broken_and_a_file_without_a_known_column_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one"}\n{"text": 5}\n{"word": "two"}\n')
    assert len(list(Jsonl(parts={"train": str(path)}, malformed=1).samples("train"))) == 1
    path.write_text('{"word": "one"}\n')
    with pytest.raises(NexusError, match=r"has no text, image, audio or video\. Its columns: word\."):
        list(Jsonl(parts={"train": str(path)}).samples("train"))
