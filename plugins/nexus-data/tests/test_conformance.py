"""The kit for the readers that test_readers.py does not hold to it."""

from __future__ import annotations

import json
from pathlib import Path

import av
import nexus_data.plugin as plugin
import numpy as np
import soundfile
from nexus_data.media import Audio, Video
from nexus_data.objects import Json
from nexus_data.tables import Csv
from nexus_specs.testing import ReaderTests


class TestCsv(ReaderTests):
    plugin = plugin
    name = "csv"

    def component(self) -> Csv:
        return self.reader("row")

    def changed(self) -> Csv:
        return self.reader("other row")

    def reader(self, word: str) -> Csv:
        file = self.folder / f"{word}.csv"
        file.write_text("text,label\n" + "".join(f"{word} {at},{at % 3}\n" for at in range(60)), encoding="utf-8")
        return Csv(path=str(file))


class TestJson(ReaderTests):
    plugin = plugin
    name = "json"

    def component(self) -> Json:
        return self.reader("row")

    def changed(self) -> Json:
        return self.reader("other row")

    def reader(self, word: str) -> Json:
        file = self.folder / f"{word}.json"
        file.write_text(json.dumps([{"text": f"{word} {at}", "label": at % 3} for at in range(60)]), encoding="utf-8")
        return Json(path=str(file))


class TestAudio(ReaderTests):
    plugin = plugin
    name = "audio"

    def component(self) -> Audio:
        for at in range(80):
            place = self.folder / "sounds" / ("high" if at % 2 else "low")
            place.mkdir(parents=True, exist_ok=True)
            soundfile.write(place / f"{at}.wav", np.sin(np.arange(80) * (at + 1) / 20), 8000)
        return Audio(path=str(self.folder / "sounds"))


class TestVideo(ReaderTests):
    plugin = plugin
    name = "video"

    def component(self) -> Video:
        for at in range(24):
            film(self.folder / "films" / ("fast" if at % 2 else "slow") / f"{at}.mkv", at)
        return Video(path=str(self.folder / "films"))


def film(path: Path, shade: int) -> None:
    """Three grey frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for at in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), shade * 9 + at, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
