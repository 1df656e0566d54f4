"""Files as people have them: packed, in other encodings, with names that stand twice and quotes that do not end."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from nexus_data.tables import Csv, Jsonl, Table
from nexus_data.texts import Text
from nexus_specs import Installed, NexusError, reader_for

SPLITS = ("train", "development", "held_out")
ROWS = '{"text": "a", "label": 1}\n{"text": "b", "label": 2}\n'


def texts(reader: Any) -> set[str]:
    return {each.fields["text"] for split in SPLITS for each in reader.samples(split)}


def test_gzip_is_unpacked_on_the_way_also_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(ROWS.encode()))
    (tmp_path / "b.jsonl").write_text('{"text": "c"}')
    assert texts(Jsonl(path=str(tmp_path))) == {"a", "b", "c"}
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"text\tlabel\nd\t1\n"))
    assert texts(Csv(path=str(tmp_path))) == {"d"}
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"e\n"))
    assert texts(Text(path=str(tmp_path))) == {"e\n"}


def zstd(content: bytes) -> bytes:
    return bytes(pyarrow.compress(content, codec="zstd", asbytes=True))


@pytest.mark.parametrize(("ending", "packed"), [("zst", zstd), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_so_is_what_others_pack(tmp_path: Path, ending: str, packed: Any) -> None:
    halves = ROWS.splitlines(keepends=True)
    (tmp_path / f"a.jsonl.{ending}").write_bytes(b"".join(packed(half.encode()) for half in halves))    # in two frames
    (tmp_path / f"b.csv.{ending}").write_bytes(packed(b"text\nc\n"))
    (tmp_path / f"c.txt.{ending}").write_bytes(packed(b"d\n"))
    found = [texts(reader(path=str(tmp_path))) for reader in (Jsonl, Csv, Text)]
    assert found == [{"a", "b"}, {"c"}, {"d\n"}]
    (tmp_path / f"a.jsonl.{ending}").write_bytes(packed(ROWS.encode() * 999)[:-9])
    with pytest.raises(NexusError, match=r"a\.jsonl\..* is damaged"):
        texts(Jsonl(path=str(tmp_path)))
    (tmp_path / f"a.jsonl.{ending}").write_bytes(packed(packed(ROWS.encode())))
    with pytest.raises(NexusError, match="packed twice"):
        texts(Jsonl(path=str(tmp_path)))


def test_a_packed_file_that_breaks_off_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(ROWS.encode() * 999)[:-20])
    with pytest.raises(NexusError, match=r"a\.jsonl\.gz is damaged"):
        texts(Jsonl(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("begins", "said"),
    [(b"\x28\xb5\x2f\xfd", "is damaged"), (b"PK\x03\x04", "unzip"), ("\ufeffx".encode("utf-16-le"), "UTF-8")],
)  # fmt: skip
def test_what_is_no_text_says_what_to_type(tmp_path: Path, begins: bytes, said: str) -> None:
    for reader in (Jsonl, Csv):
        (tmp_path / "a.jsonl").write_bytes(begins + ROWS.encode())
        with pytest.raises(NexusError, match=said):
            texts(reader(path=str(tmp_path / "a.jsonl")))


def test_a_name_that_stands_twice_is_no_row_and_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text(ROWS + '{"text": "c", "text": "d"}\n')
    assert texts(Jsonl(path=str(tmp_path))) == {"a", "b"}
    assert "a.jsonl:3: is not JSON (the name 'text' stands there twice)" in capsys.readouterr().err
    (tmp_path / "a.csv").write_text("text,label,text\na,1,b\n")
    with pytest.raises(NexusError, match=r"a\.csv:1 has two columns 'text'"):
        texts(Csv(path=str(tmp_path)))


def test_names_of_columns_stand_without_spaces_and_empty_lines_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text, label\na, 1\n\nb, 1_0\n\n" + "\n" * 300)
    found = [each.fields for split in SPLITS for each in Csv(path=str(tmp_path)).samples(split)]
    assert {each["text"]: each["label"] for each in found} == {"a": 1, "b": " 1_0"}


def test_only_tables_that_are_read_otherwise_now_have_another_fingerprint(tmp_path: Path) -> None:
    reader = Csv(path=str(tmp_path))
    (tmp_path / "a.csv").write_text("text,label, id\na,1,2\n")
    assert reader.fingerprint("train") == Table.fingerprint(reader, "train")
    (tmp_path / "a.csv").write_text("text, label\na,1\n")
    assert reader.fingerprint("train") != Table.fingerprint(reader, "train")


def test_a_quote_that_does_not_end_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text('text,label\na,1\n"b,2\n' + "c,3\n" * 20)
    assert texts(Csv(path=str(tmp_path))) == {"a"}
    assert "21 lines: look for a quote that is not closed" in capsys.readouterr().err
    with pytest.raises(NexusError, match=r"a\.csv:23: 21 lines were taken for one row"):
        texts(Csv(path=str(tmp_path), malformed=5))


def test_a_quote_that_does_not_end_in_a_header_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_data.tables.LONGEST", 99)
    (tmp_path / "a.csv").write_text('text,"label\n' + "c,3\n" * 99)
    with pytest.raises(NexusError, match=r"a\.csv:1: field larger.*not closed"):
        texts(Csv(path=str(tmp_path)))


def test_a_file_of_which_no_row_can_be_read_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('[{"text": "a"}, {"text": "b"}]')
    with pytest.raises(NexusError, match="put one on each line"):
        texts(Jsonl(path=str(tmp_path)))
    (tmp_path / "a.jsonl").write_text("")
    assert texts(Jsonl(path=str(tmp_path))) == set()


def test_the_ending_counts_in_capitals_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.TSV").write_text("text\tlabel\na\t1\n")
    assert texts(Csv(path=str(tmp_path))) == {"a"}


def test_the_last_ending_counts(tmp_path: Path) -> None:
    (tmp_path / "a.tsv.csv").write_text("text,label\na,1\n")
    assert texts(Csv(path=str(tmp_path))) == {"a"}


def test_packed_files_have_their_reader(tmp_path: Path) -> None:
    for name, reader in (("a.jsonl.gz", "jsonl"), ("a.tsv.gz", "csv"), ("a.txt.gz", "text"), ("a.opus", "audio")):
        (tmp_path / name).touch()
        assert reader_for(str(tmp_path / name), Installed()) == reader
