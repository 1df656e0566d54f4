"""Folders of images, sound and video."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, Split

from . import decode
from .files import is_file, part_files, placed
from .options import MediaOptions
from .reader import FileReader
from .rows import Malformed, Row, Unreported

INDEXES = ("index.jsonl", "metadata.jsonl", "train.jsonl")
NAMES = ("file", "file_name")


class Folder(FileReader):
    """Files of one kind. A label is the name of the sub-folder, or what an index says: a file of one JSON object a line
    with `file`, and `label`, `text` or `source`."""

    options_type = MediaOptions
    field = ""

    def decoded(self, file: Path) -> dict[str, Any]:
        """The fields of a file."""
        raise NotImplementedError

    def files(self, split: Split) -> list[tuple[Path, str]]:
        """The media of a part, or of the folder; an index may be given in the place of its folder, and counts."""
        parts = {name: _folder(where) for name, where in self.options.parts.items()}
        return part_files(_folder(self.options.path), parts, split, (*self.suffixes, ".jsonl"))

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """One row for a file of media; the rows of an index."""
        if file.suffix == ".jsonl":
            if self._is_index(file):
                yield from self._indexed(file, broken)
            return
        if self._index_above(file) is None:
            label = Path(name).parts[0] if len(Path(name).parts) > 1 else None
            yield Row(where=name, values={self.field: file, "label": label, "source": name}, group=name)

    def behind(self, split: Split) -> Iterator[tuple[Path, str]]:
        """What indexes name that does not lie among the files of the part, or ends in another way."""
        files = self.files(split)
        known = {os.path.normpath(file) for file, _ in files}
        for index in (file for file, _ in files if file.suffix == ".jsonl" and self._is_index(file)):
            for row in self._indexed(index, Unreported()):
                file = row.values[self.field]
                if os.path.normpath(file) not in known:
                    yield file, os.path.relpath(file, index.parent)

    def fields(self, row: Row, fields: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Decoded."""
        file = fields.pop(self.field)
        yield {**fields, **self.decoded(file)}

    def _indexed(self, index: Path, broken: Malformed) -> Iterator[Row]:
        with index.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{index.name}:{number}"
                try:
                    values = json.loads(line)
                    file = index.parent / (name := next(values[each] for each in NAMES if each in values))
                except (ValueError, TypeError, StopIteration, RecursionError):
                    broken.add(where, f"is no JSON object with `{NAMES[0]}`")
                    continue
                if not is_file(file):
                    broken.add(where, f"names the file '{name}', which is not there")
                    continue
                yield Row(where=where, values={**values, self.field: file}, group=str(values.get("source") or name))

    def _is_index(self, file: Path) -> bool:
        return file.name == self.options.index if self.options.index else file.name in INDEXES

    def _index_above(self, file: Path) -> Path | None:
        """The index that describes a file: in its folder or in the one above."""
        for folder in (file.parent, file.parent.parent):
            for name in (self.options.index,) if self.options.index else INDEXES:
                if (folder / name).is_file():
                    return folder / name
        return None


class Images(Folder):
    """Kind "reader": a folder of images, as uint8 [H, W, 3]."""

    field = "image"
    suffixes = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

    def decoded(self, file: Path) -> dict[str, Any]:
        """The image."""
        return {"image": decode.image(file)}


class Audio(Folder):
    """Kind "reader": a folder of sound files, one channel, as float32 [N] with "rate"."""

    field = "audio"
    suffixes = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aac", ".opus")

    def decoded(self, file: Path) -> dict[str, Any]:
        """The sound and its rate."""
        sound, rate = decode.audio(file, self.options.rate)
        return {"audio": sound, "rate": rate}


class Video(Folder):
    """Kind "reader": a folder of videos, as uint8 [T, H, W, 3]."""

    field = "video"
    suffixes = (".mp4", ".mkv", ".webm", ".avi", ".mov")

    def decoded(self, file: Path) -> dict[str, Any]:
        """The frames."""
        return {"video": decode.video(file, self.options.frames)}


def _folder(where: Any) -> Any:
    """A folder; where its index was given, the folder that holds it."""
    if isinstance(where, str) and where.endswith(".jsonl"):
        if not placed(where).is_file():
            raise NexusError(f"The index '{where}' is not there. Give the folder of the media, or its index.")
        return str(placed(where).parent)
    return where
