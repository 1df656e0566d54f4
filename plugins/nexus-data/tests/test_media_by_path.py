"""Tables and indexes that name their media by a path: found from the table's folder, and part of the fingerprint."""

from __future__ import annotations

import csv
import doctest
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from nexus_data import naming
from nexus_data.hub import tables as fetched
from nexus_data.media import Images
from nexus_data.tables import Csv, Jsonl, Parquet
from nexus_specs import NexusError
from PIL import Image

Write = Callable[[Path, list[dict[str, Any]]], Any]


def png(shade: int) -> bytes:
    found = BytesIO()
    Image.fromarray(np.full((3, 4), shade, np.uint8)).save(found, "PNG")
    return found.getvalue()


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> Jsonl:
    file = path.with_suffix(".jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Jsonl(parts={"train": str(file)})


def as_csv(path: Path, rows: list[dict[str, Any]]) -> Csv:
    file = path.with_suffix(".csv")
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([list(rows[0]), *(row.values() for row in rows)])
    return Csv(parts={"train": str(file)})


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Parquet:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path.with_suffix(".parquet"))
    return Parquet(parts={"train": str(path.with_suffix(".parquet"))})


def as_datasets(path: Path, rows: list[dict[str, Any]]) -> Parquet:
    """{bytes, path}, as `datasets` writes an image; the last row holds its bytes."""
    media = [{"bytes": None, "path": row["image"]} for row in rows[:-1]] + [{"bytes": png(9), "path": "none.png"}]
    return as_parquet(path, [{**row, "image": each} for row, each in zip(rows, media, strict=True)])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures; the process stands elsewhere, beside pictures of the same names."""
    for folder, shade in (("home", 50), ("elsewhere", 200)):
        (tmp_path / folder / "pictures").mkdir(parents=True)
        for at in range(3):
            (tmp_path / folder / "pictures" / f"{at}.png").write_bytes(png(shade + at))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "home"


ROWS = [{"image": f"pictures/{at}.png", "label": at} for at in range(3)]


@pytest.mark.parametrize("write", [as_jsonl, as_csv, as_parquet, as_datasets])
def test_a_path_begins_in_the_tables_folder(write: Write, home: Path) -> None:
    samples = list(write(home / "table", ROWS).samples("train"))
    assert [int(sample.fields["image"][0, 0, 0]) for sample in samples][:2] == [50, 51]
    assert [sample.fields["label"] for sample in samples] == [0, 1, 2]


@pytest.mark.parametrize("write", [as_jsonl, as_csv, as_parquet, as_datasets])
def test_another_picture_under_the_same_name_is_another_fingerprint(write: Write, home: Path, tmp_path: Path) -> None:
    reader = write(home / "table", ROWS)
    before = reader.fingerprint("train")
    moved = tmp_path / "moved"
    home.rename(moved)
    moved_reader = type(reader)(parts={"train": str(next(moved.glob("table.*")))})
    assert moved_reader.fingerprint("train") == before, "where they lie does not count"
    (moved / "pictures" / "1.png").write_bytes(png(7))
    changed = moved_reader.fingerprint("train")
    assert changed != before
    (moved / "pictures" / "1.png").unlink()
    assert moved_reader.fingerprint("train") not in (before, changed)


def test_sound_by_its_column_and_an_absolute_path(home: Path) -> None:
    soundfile.write(home / "a.wav", np.zeros(80), 8000)
    reader = as_jsonl(home / "table", [{"clip": "a.wav"}, {"clip": str(home / "a.wav")}])
    reader = Jsonl(parts=reader.options.parts, columns={"audio": "clip"})
    assert [sample.fields["audio"].shape for sample in reader.samples("train")] == [(80,), (80,)]
    before = reader.fingerprint("train")
    soundfile.write(home / "a.wav", np.ones(80) / 2, 8000)
    assert reader.fingerprint("train") != before


def test_what_is_no_file_is_a_broken_row(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["pictures/9.png", "pictures", "http://127.0.0.1:9/a.png", "/dev/zero", "a\0b", "x" * 5000, 5, {"path": 5}]
    reader = as_jsonl(home / "table", [{"image": name} for name in names] + ROWS[:1])
    assert len(list(reader.samples("train"))) == 1
    said = capsys.readouterr().err
    assert "table.jsonl:1: names the file 'pictures/9.png', which is not there (a path begins in" in said
    assert f"{len(names)} broken rows were left out" in said
    assert reader.fingerprint("train")
    films = Jsonl(parts=reader.options.parts, columns={"video": "image"}, malformed=0)
    with pytest.raises(NexusError, match=r"names the file 'pictures/9.png', which is not there"):
        list(films.samples("train"))


def test_pictures_that_are_none_are_broken_rows(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, size = png(1)[:16], (60_000).to_bytes(4)
    (home / "pictures" / "0.png").write_bytes(b"no picture")
    (home / "pictures" / "1.png").write_bytes(png(1)[:40])
    (home / "pictures" / "2.png").write_bytes(head + size + size + png(1)[24:])
    with pytest.raises(NexusError, match="None of the 3 rows can be read"):
        list(as_jsonl(home / "table", ROWS).samples("train"))
    (home / "pictures" / "0.png").write_bytes(png(1))
    assert len(list(as_jsonl(home / "table", ROWS).samples("train"))) == 1
    assert "2 broken rows were left out" in capsys.readouterr().err


def test_text_keeps_its_fingerprint_and_bytes_are_not_looked_at(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [{"image": {"bytes": png(at), "path": "pictures/0.png"}, "label": at} for at in range(3)]
    readers = [
        as_jsonl(home / "words", [{"text": "about an image"}]),
        as_csv(home / "cells", [{"text": "image"}]),
        as_parquet(home / "bytes", whole),
        as_parquet(home / "plain", [{"image": png(3)}]),
    ]
    for reader in readers:
        monkeypatch.setattr(type(reader), "rows", lambda *given: pytest.fail("the rows were read"))
    before = [reader.fingerprint("train") for reader in readers]
    (home / "pictures" / "0.png").write_bytes(png(99))
    assert [reader.fingerprint("train") for reader in readers] == before


def test_names_are_found_however_json_writes_them(home: Path) -> None:
    (home / "table.jsonl").write_text('{"\\u0069mage": "pictures/0.png"}\n' + "[" * 100_000 + '\n{"image"\n')
    reader = Jsonl(parts={"train": str(home / "table.jsonl")})
    assert [name for _, name in reader.behind("train")] == ["pictures/0.png"]
    assert len(list(reader.samples("train"))) == 1


def test_what_an_index_names_outside_its_folder_counts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "index"
    folder.mkdir()
    lines = [{"file": "../pictures/0.png", "label": 1}, {"file": 5}, {"file": "../pictures/none.png"}]
    text = "".join(json.dumps(row) + "\n" for row in lines)
    (folder / "index.jsonl").write_bytes(text.encode() + b"\xff\n" + b"[" * 100_000 + b"\n")
    reader = Images(parts={"train": str(folder)})
    assert len(list(reader.samples("train"))) == 1
    assert "4 broken rows were left out" in capsys.readouterr().err
    before = reader.fingerprint("train")
    (home / "pictures" / "0.png").write_bytes(png(99))
    assert reader.fingerprint("train") != before


def test_a_path_in_a_table_from_elsewhere_is_not_followed(home: Path) -> None:
    with pytest.raises(ValueError, match=r"names the file 'a\.png' and does not hold it"):
        naming.stored({"bytes": None, "path": "a.png"}, None)
    assert naming.stored({"bytes": b"x", "path": "a.png"}, None) == b"x"


def test_what_datasets_keeps_as_files_is_read_from_its_caches_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    inside, outside = home / "pictures" / "0.png", home / "secret.png"
    outside.write_bytes(png(1))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "pictures")
    found = [fetched._bytes({"bytes": None, "path": str(each)}) for each in (inside, outside)]
    assert [each["bytes"] is not None for each in found if each] == [True, False]
    sneaky = home / "pictures" / ".." / "secret.png"
    assert fetched._bytes({"bytes": None, "path": str(sneaky)}) == {"bytes": None, "path": str(sneaky)}
    assert fetched._bytes(None) is None


def test_examples() -> None:
    assert doctest.testmod(naming).failed == 0
