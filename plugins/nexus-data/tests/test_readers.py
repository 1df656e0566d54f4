"""Readers over real files: parts, order, windows, media, broken rows, fingerprints."""

from __future__ import annotations

import csv
import json
from io import BytesIO
from pathlib import Path

import nexus_data.plugin as plugin
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from nexus_data import decode
from nexus_data.media import Audio, Images, Video
from nexus_data.reader import FileReader
from nexus_data.tables import Csv, Jsonl, Parquet
from nexus_data.texts import Text
from nexus_data.windows import windows
from nexus_specs import NexusError
from nexus_specs.testing import PluginTests, ReaderTests
from PIL import Image

SPLITS = ("train", "development", "held_out")


class TestPlugin(PluginTests):
    plugin = plugin


class TestJsonl(ReaderTests):
    plugin = plugin
    name = "jsonl"

    def component(self) -> Jsonl:
        return Jsonl(path=str(lines(self.folder / "a.jsonl", [{"text": f"row {at}", "label": at} for at in range(60)])))


class TestText(ReaderTests):
    plugin = plugin
    name = "text"

    def component(self) -> Text:
        (self.folder / "a.txt").write_text("".join(f"line {at}\n" for at in range(400)))
        return Text(path=str(self.folder), window=64)


class TestParquet(ReaderTests):
    plugin = plugin
    name = "parquet"

    def component(self) -> Parquet:
        rows = [{"image": {"bytes": png(at), "path": None}, "label": at if at % 2 else None} for at in range(50)]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), self.folder / "a.parquet")
        return Parquet(path=str(self.folder / "a.parquet"))


class TestImages(ReaderTests):
    plugin = plugin
    name = "images"

    def component(self) -> Images:
        return Images(path=str(images(self.folder)))


def lines(path: Path, rows: list) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def png(at: int) -> bytes:
    found = BytesIO()
    Image.fromarray(np.full((3, 4), at * 5, np.uint8)).save(found, "PNG")
    return found.getvalue()


def images(folder: Path) -> Path:
    for at in range(40):
        place = folder / "pets" / ("cat" if at % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{at}.png").write_bytes(png(at))
    return folder / "pets"


def test_windows_join_to_the_text_and_never_cut_a_character() -> None:
    text = "kurz\n" + "ä" * 50 + "\n\nend 🙂🙂🙂 of it"
    for size in (4, 7, 16, 33):
        pieces = list(windows(text, size))
        assert "".join(pieces) == text
        assert all(0 < len(piece.encode()) <= size for piece in pieces)
    assert list(windows(text, 0)) == [text]
    assert list(windows("", 5)) == []


def test_parts_are_divided_by_source(tmp_path: Path) -> None:
    rows = [{"text": f"row {at}", "source": f"book {at // 4}"} for at in range(240)]
    reader = Jsonl(path=str(lines(tmp_path / "a.jsonl", rows)))
    found = {split: list(reader.samples(split)) for split in SPLITS}
    sources = {split: {sample.fields["source"] for sample in samples} for split, samples in found.items()}
    assert sum(map(len, found.values())) == 240
    assert not sources["train"] & sources["held_out"]
    assert 30 <= len(sources["train"]) <= 57


def test_given_parts_limit_columns_and_window(tmp_path: Path) -> None:
    file = str(lines(tmp_path / "a.jsonl", [{"body": "one\ntwo\n", "kind": "x"}] * 2))
    reader = Jsonl(parts={"train": file, "held_out": [file]}, columns={"text": "body", "label": "kind"}, window=4)
    assert [sample.fields["text"] for sample in reader.samples("train")] == ["one\n", "two\n"] * 2
    assert next(reader.samples("held_out")).fields["label"] == "x"
    assert len(list(Jsonl(parts={"train": file}, columns={"text": "body"}, limit=1).samples("train"))) == 1
    with pytest.raises(NexusError, match="no part 'development', only train, held_out"):
        next(reader.samples("development"))
    with pytest.raises(NexusError, match=r"no column 'words'.*body, kind"):
        next(Jsonl(path=file, columns={"text": "words"}).samples("train"))
    with pytest.raises(NexusError, match="Say which is which"):
        next(Jsonl(path=file).samples("train"))


def test_broken_rows_are_reported_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "a.jsonl", [{"text": "good"}, "{", "[1]", {"text": 5}, "", {"text": "x", "label": 0.5}])
    found = list(Jsonl(parts={"train": str(file)}).samples("train"))
    assert [sample.fields["text"] for sample in found] == ["good"]
    said = capsys.readouterr().err
    assert all(f"a.jsonl:{line}: " in said for line in (2, 3, 4, 6))
    with pytest.raises(NexusError, match=r"a\.jsonl:2"):
        list(Jsonl(parts={"train": str(file)}, malformed=0).samples("train"))


def test_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as opened:
        csv.writer(opened).writerows([["text", "label"], ["a, b", "3"], ["c", ""], ["d", "word"], ["too", "many", "!"]])
    with (tmp_path / "a.csv").open("ab") as opened:
        opened.write(b"\xff,1\n")
    found = [dict(sample.fields) for sample in Csv(parts={"train": str(tmp_path / "a.csv")}).samples("train")]
    assert [(each["text"], each.get("label")) for each in found] == [("a, b", 3), ("c", None), ("d", "word")]
    said = capsys.readouterr().err
    assert "a.csv:5: has 3 cells" in said
    assert "a.csv:6: is not UTF-8" in said


def test_parquet_images_and_sound(tmp_path: Path) -> None:
    sound = BytesIO()
    soundfile.write(sound, np.zeros((80, 2)), 8000, format="WAV")
    rows = [{"image": {"bytes": png(3), "path": None}, "audio": {"bytes": sound.getvalue(), "path": "a"}, "label": 1}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    (sample,) = Parquet(parts={"train": str(tmp_path / "a.parquet")}, rate=4000).samples("train")
    assert sample.fields["image"].shape == (3, 4, 3)
    assert sample.fields["image"].dtype == np.uint8
    assert (sample.fields["audio"].shape, sample.fields["rate"]) == ((40,), 4000)


def test_text_folders_and_files(tmp_path: Path) -> None:
    for at in range(20):
        (tmp_path / f"{at}.txt").write_text(f"file {at}\n" * 30)
    reader = Text(path=str(tmp_path), window=50)
    names = {split: {s.fields["source"].partition(":")[0] for s in reader.samples(split)} for split in SPLITS}
    assert sum(map(len, names.values())) == 20, "a file is in one part only"
    (tmp_path / "broken.txt").write_bytes(b"\xff\xfe\xfa")
    assert list(reader.samples("train"))
    with pytest.raises(NexusError, match="holds no file"):
        next(Text(path=str(images(tmp_path / "more"))).samples("train"))
    with pytest.raises(NexusError, match="are not there"):
        next(Text(path=str(tmp_path / "none")).samples("train"))
    with pytest.raises(NexusError, match="neither `path` nor `parts`"):
        next(Text().samples("train"))


def test_image_folders(tmp_path: Path) -> None:
    reader = Images(path=str(images(tmp_path)))
    found = [sample for split in SPLITS for sample in reader.samples(split)]
    assert len(found) == 40
    assert {sample.fields["label"] for sample in found} == {"cat", "dog"}
    (tmp_path / "pets" / "cat" / "broken.png").write_text("no image")
    assert len([sample for split in SPLITS for sample in reader.samples(split)]) == 40


def test_sound_with_an_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "audio").mkdir()
    for at in range(3):
        soundfile.write(tmp_path / "audio" / f"{at}.flac", np.sin(np.arange(800) * (at + 1) / 20), 8000)
    rows = [{"file": f"audio/{at}.flac", "label": at, "text": "word"} for at in range(3)]
    index = lines(tmp_path / "train.jsonl", [*rows, {"file": "audio/9.flac"}, "{}"])
    for given in (str(tmp_path), str(index)):
        found = list(Audio(parts={"train": given}, rate=16000).samples("train"))
        assert [sample.fields["label"] for sample in found] == [0, 1, 2]
        assert found[0].fields["audio"].shape == (1600,)
    said = capsys.readouterr().err
    assert "train.jsonl:4" in said
    assert "train.jsonl:5" in said
    with pytest.raises(NexusError, match="is not there"):
        next(Audio(path=str(tmp_path / "none.jsonl")).samples("train"))


def test_video_frames(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    (tmp_path / "wave").mkdir()
    with av.open(str(tmp_path / "wave" / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for at in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), at * 40, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (sample,) = Video(parts={"train": str(tmp_path)}, frames=3).samples("train")
    assert sample.fields["video"].shape == (3, 16, 16, 3)
    assert sample.fields["label"] == "wave"
    assert sample.fields["video"][0].mean() < 20 < 180 < sample.fields["video"][2].mean()
    with pytest.raises(ValueError, match="no video"):
        decode.video(b"nothing")


def test_resampling_keeps_a_tone() -> None:
    tone = np.sin(2 * np.pi * 100 * np.arange(8000) / 8000).astype(np.float32)
    up = decode.resampled(tone, 8000, 16000)
    np.testing.assert_allclose(up, np.sin(2 * np.pi * 100 * np.arange(16000) / 16000), atol=1e-4)
    np.testing.assert_allclose(decode.resampled(up, 16000, 8000), tone, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "name", "content", "known"),
    [
        (Jsonl, "a.jsonl", '{"text": "one", "label": 1}\n', "96e88ed538bd8220"),
        (Csv, "a.csv", "text,label\none,1\n", "9b5a4a0920c2e329"),
        (Text, "a.txt", "one\n", "8739503ae46560af"),
    ],
)
def test_fingerprints_are_those_of_earlier_versions(
    tmp_path: Path, kind: type, name: str, content: str, known: str
) -> None:
    """What a release says of its data holds for as long as the data do."""
    (tmp_path / name).write_text(content)
    assert kind(path=str(tmp_path / name), window=64).fingerprint("train").startswith(known)
    if kind is not Text:
        assert not kind(path=str(tmp_path / name), window=64, frames=2).fingerprint("train").startswith(known)


def test_a_fingerprint_is_content_and_options(tmp_path: Path) -> None:
    rows = [{"text": f"row {at}"} for at in range(40)]
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        lines(folder / "a.jsonl", rows)
    first = Jsonl(path=str(here / "a.jsonl")).fingerprint("train")
    assert first == Jsonl(path=str(there / "a.jsonl"), malformed=3).fingerprint("train")
    assert first != Jsonl(path=str(here / "a.jsonl"), window=8).fingerprint("train")
    assert first != Jsonl(path=str(here / "a.jsonl"), frames=8).fingerprint("train")
    assert first != Jsonl(path=str(here / "a.jsonl")).fingerprint("held_out")
    lines(here / "a.jsonl", [*rows, {"text": "more"}])
    assert first != Jsonl(path=str(here / "a.jsonl")).fingerprint("train")


def test_what_is_asked_is_read_by_its_name(tmp_path: Path) -> None:
    """A prompt that was left out let a teacher be asked with the text that holds the answer."""
    asked = {"text": "2 + 2 = 4", "prompt": "2 + 2 =", "answer": "4", "choices": ["3", "4"], "max_new_tokens": 8}
    file = lines(tmp_path / "a.jsonl", [asked])
    (found,) = Jsonl(parts={"train": str(file)}).samples("train")
    assert {name: found.fields[name] for name in asked} == asked
    turns = [{"role": "user", "content": "2 + 2?"}]
    (found,) = Jsonl(parts={"train": str(lines(tmp_path / "b.jsonl", [{"messages": turns}]))}).samples("train")
    assert found.fields["messages"] == turns
    renamed = Jsonl(parts={"train": str(lines(tmp_path / "c.jsonl", [{"q": "2?"}]))}, columns={"messages": "q"})
    assert [each.fields["messages"] for each in renamed.samples("train")] == ["2?"]


def test_data_without_such_columns_keep_their_fingerprint(tmp_path: Path) -> None:
    plain = lines(tmp_path / "a.jsonl", [{"text": "\u00e4 prompt"}])
    asked = lines(tmp_path / "b.jsonl", [{"text": "a", "prompt": "b"}])
    for file, same in ((plain, True), (asked, False)):
        reader = Jsonl(parts={"train": str(file)})
        assert (reader.fingerprint("train") == FileReader.fingerprint(reader, "train")) is same


def test_the_same_text_under_two_numbers_is_in_one_part(tmp_path: Path) -> None:
    """All that was held out stood in train as well."""
    rows = [{"id": at, "text": f"text {at % 50}"} for at in range(500)]
    reader = Jsonl(path=str(lines(tmp_path / "a.jsonl", rows)))
    train, development, held_out = ({each.key for each in reader.samples(split)} for split in SPLITS)
    assert len(train | development | held_out) == len(train) + len(development) + len(held_out) == 50
    assert reader.fingerprint("train") != FileReader.fingerprint(reader, "train"), "not the parts of releases before"


def test_labels_of_a_column_with_gaps_are_numbers(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", [{"text": "a", "label": 1.0}, {"text": "b", "label": None}])
    assert [each.fields.get("label") for each in Jsonl(parts={"train": str(file)}).samples("train")] == [1, None]


def test_a_window_leaves_what_has_no_text(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.jsonl", [{"messages": "2?"}])
    assert len(list(Jsonl(parts={"train": str(file)}, window=64).samples("train"))) == 1


def test_a_cell_that_no_key_can_hold_is_a_broken_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pyarrow.table({"text": ["a", "b"], "answer": [b"x", None]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    found = Parquet(parts={"train": str(tmp_path / "a.parquet")}).samples("train")
    assert [each.fields["text"] for each in found] == ["b"]
    assert "a.parquet:1" in capsys.readouterr().err
