"""Files that are damaged or say what is not so: errors and broken rows in words, no memory for what is not there."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from nexus_data import decode, tables
from nexus_data.hub.reader import Hub
from nexus_data.hub.tables import parquet_rows
from nexus_data.tables import Csv, Jsonl, Parquet
from nexus_specs import NexusError


def whole(path: Path) -> bytes:
    pyarrow.parquet.write_table(pyarrow.table({"text": ["words " * 100] * 500, "image": ["a.png"] * 500}), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"PAR1 nothing of the kind PAR1",
        lambda data: data[: len(data) // 2],
        lambda data: data[:20] + b"\xff" * 60 + data[80:],
        lambda data: data[:-200] + b"\0" * 180 + data[-20:],
    ],
)
def test_damaged_parquet_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "a.parquet"
    file.write_bytes(damage(whole(file)))
    for read in (Parquet(parts={"train": str(file)}).samples("train"), parquet_rows(file, ())):
        with pytest.raises(NexusError, match=r"a\.parquet is no parquet file that can be read"):
            list(read)


def test_half_a_character_is_a_broken_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"text": "a\\ud800b"}\n{"text": "whole"}\n{"text": "x", "source": "\\udfff"}\n')
    for window in (0, 16):
        found = list(Jsonl(parts={"train": str(file)}, window=window).samples("train"))
        assert [sample.fields["text"] for sample in found] == ["whole"]
        assert r"a.jsonl:1: holds '\ud800', half of a character" in capsys.readouterr().err


def test_what_never_ends_is_not_taken_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LONGEST", 1 << 20)
    line, cell = tmp_path / "a.jsonl", tmp_path / "a.csv"
    line.write_bytes(b'{"text": "a"}\n{"image": "' + b"x" * (2 << 20))
    cell.write_bytes(b'text,label\nfine,1\n"never closed,' + b"x" * (2 << 20))
    with pytest.raises(NexusError, match=r"a\.jsonl:2 is longer than 1 MB: put one JSON object on each line"):
        list(Jsonl(parts={"train": str(line)}).samples("train"))
    with pytest.raises(NexusError, match=r"a\.csv:3: field larger than .* a quote that is not closed"):
        list(Csv(parts={"train": str(cell)}).samples("train"))


@pytest.mark.parametrize("given", [5, [], "", [""], ["a.txt", 5], {"a": 1}, None])
def test_a_part_that_names_no_file_is_refused(given: Any) -> None:
    with pytest.raises(NexusError, match=r"The part 'train' is .* Name a file, a folder or a list of them"):
        Jsonl(parts={"train": given}).fingerprint("train")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_odd_names_are_not_there(name: str) -> None:
    with pytest.raises(NexusError, match="are not there"):
        Jsonl(path=name).fingerprint("train")


def sound(count: int, rate: int, kind: str) -> bytearray:
    found = BytesIO()
    soundfile.write(found, np.zeros(count), rate, format=kind)
    return bytearray(found.getvalue())


def test_a_head_that_promises_hours_allocates_nothing() -> None:
    flac = sound(8000, 8000, "FLAC")
    said = int.from_bytes(flac[18:26]) | (1 << 36) - 1
    flac[18:26] = said.to_bytes(8)
    with pytest.raises(ValueError, match=r"is no sound that can be read \(.*\)"):
        decode.audio(bytes(flac))
    with pytest.raises(ValueError, match="is more than 2048 MB of sound"):
        decode.audio(bytes(sound(2_000_000, 1, "WAV")), 192_000)


def test_long_sounds_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    tone, out = np.random.default_rng(0).uniform(-1, 1, (5000, 2)).astype(np.float32), BytesIO()
    soundfile.write(out, tone, 8000, format="WAV", subtype="FLOAT")
    monkeypatch.setattr(decode, "BLOCK", 128)
    np.testing.assert_array_equal(decode.audio(out.getvalue())[0], tone.mean(1))
    monkeypatch.setattr(decode, "MOST", 10_000)
    with pytest.raises(ValueError, match="of sound"):
        decode.audio(out.getvalue())


def test_what_is_of_no_known_format_says_no_address_of_memory() -> None:
    for read in (decode.image, decode.audio, decode.video):
        with pytest.raises(ValueError, match="is no ") as caught:
            read(b"nothing")
        assert "0x" not in str(caught.value)


def film(path: Path) -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for at in range(9):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), at * 25, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def test_frames_are_chosen_in_tables_and_of_the_hub_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = film(tmp_path / "a.mkv")
    pyarrow.parquet.write_table(pyarrow.table({"video": [stored]}), tmp_path / "a.parquet")
    (sample,) = Parquet(parts={"train": str(tmp_path / "a.parquet")}, frames=3).samples("train")
    every = decode.video(stored)
    np.testing.assert_array_equal(sample.fields["video"], every[[0, 4, 8]])
    assert Hub(id="acme/films", frames=3).table.options.frames == 3
    np.testing.assert_array_equal(decode.video(stored, 12), every[np.linspace(0, 8, 12).round().astype(int)])
    monkeypatch.setattr(decode, "MOST", 4 * 16 * 16 * 3)
    assert len(decode.video(stored, 4)) == 4
    with pytest.raises(ValueError, match="of video; take some frames of it: frames: 16"):
        decode.video(stored)


@pytest.mark.parametrize(
    ("lines", "kept", "said"),
    [
        (['"say \\"no\\" to it",1', "whole,2"], ["whole"], r"a\.csv:2: has its quotes wrong .* write each one twice"),
        (["whole,1", '"it said ""yes""",2'], ["whole", 'it said "yes"'], ""),
        (["whole,1", 'b,"2', "c,3", "d,4"], ["whole"], r"a\.csv:5: has its quotes wrong .*\(3 lines: look for a quote"),
    ],
)
def test_quotes_that_are_not_of_csv_are_told(tmp_path: Path, capsys: Any, lines: Any, kept: Any, said: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text("\n".join(["text,label", *lines]))
    found = [sample.fields["text"] for sample in Csv(parts={"train": str(file)}).samples("train")]
    assert found == kept
    assert re.search(said, capsys.readouterr().err)


def test_rows_of_which_none_can_be_decoded_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": {"en": "a"}}\n' * 3)
    with pytest.raises(NexusError, match=r"None of the 3 rows can be read:\n  a\.jsonl:1: the text is dict"):
        list(Jsonl(parts={"train": str(file)}).samples("train"))
