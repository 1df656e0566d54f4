"""Sounds that libsndfile does not know, by FFmpeg."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from nexus_data import decode
from nexus_data.media import Audio
from numpy.typing import NDArray

RATE = 16_000


def tone() -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)


def encoded(path: Path, codec: str = "aac") -> Path:
    """A second of a tone on one of two channels."""
    with av.open(str(path), "w") as made:
        stream = made.add_stream(codec, rate=RATE, layout="stereo")
        both = np.stack([tone(), np.zeros(RATE, np.float32)])
        for at in range(0, RATE - RATE % 1024, 1024):
            frame = av.AudioFrame.from_ndarray(both[:, at : at + 1024].copy(), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


def test_m4a_is_read_as_it_sounds(tmp_path: Path) -> None:
    file = encoded(tmp_path / "one.m4a")
    for stored in (file, file.read_bytes()):
        sound, rate = decode.audio(stored)
        assert rate == RATE
        assert abs(len(sound) - RATE) < 3000
        assert 0.14 < float(sound[4000:12000].std()) < 0.21     # half of the tone's, the mean of both channels
        assert int(np.abs(np.fft.rfft(sound[:8000])).argmax()) == 220


def test_a_folder_of_m4a_is_no_empty_folder(tmp_path: Path) -> None:
    encoded(tmp_path / "one.m4a")
    reader = Audio(path=str(tmp_path))
    samples = [each for split in ("train", "development", "held_out") for each in reader.samples(split)]
    assert [each.fields["rate"] for each in samples] == [RATE]


def test_what_is_no_sound_says_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "one.m4a").write_bytes(b"nothing of a sound" * 99)
    with pytest.raises(ValueError, match="ffmpeg"):
        decode.audio(tmp_path / "one.m4a")
    with pytest.raises(ValueError, match="sound"):
        decode.audio(b"")
