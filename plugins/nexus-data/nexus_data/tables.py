"""Tables: parquet, JSON lines, CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import decode
from .options import TableOptions
from .reader import FileReader
from .rows import Malformed, Row
from .windows import windows


class Table(FileReader):
    """Rows whose columns are fields: text as it is or in windows, media as bytes (as `datasets` stores them)."""

    options_type = TableOptions

    def fields(self, row: Row, fields: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Decoded; one sample for each window of the text."""
        if "image" in fields:
            fields["image"] = decode.image(_media(fields["image"]))
        if "audio" in fields:
            fields["audio"], fields["rate"] = decode.audio(_media(fields["audio"]), self.options.rate)
        if "video" in fields:
            fields["video"] = decode.video(_media(fields["video"]))
        text = fields.get("text", "")
        if not isinstance(text, str):
            raise ValueError(f"the text is {type(text).__name__}, not a string")
        if not isinstance(fields.get("label", 0), (int, str)):
            raise ValueError(f"the label is {type(fields['label']).__name__}, neither a number nor a word")
        for window in windows(text, self.options.window):
            if window.strip() or "text" not in fields:
                yield {**fields, "text": window} if "text" in fields else fields


class Parquet(Table):
    """Kind "reader": parquet files. An image or sound is bytes, or {bytes, path}; an empty label is unknown."""

    suffixes = (".parquet",)

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """Row after row, a batch in memory at a time."""
        import pyarrow.parquet

        number = 0
        with pyarrow.parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=256):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(where=f"{name}:{number}", values=values)


class Jsonl(Table):
    """Kind "reader": one JSON object a line."""

    suffixes = (".jsonl", ".ndjson")

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """Line after line; empty lines are nothing."""
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{name}:{number}"
                if not line.strip():
                    continue
                try:
                    values = json.loads(line)
                except ValueError as error:
                    broken.add(where, f"is not JSON ({error})")
                    continue
                if isinstance(values, dict):
                    yield Row(where=where, values=values)
                else:
                    broken.add(where, f"is {type(values).__name__}, not an object")


class Csv(Table):
    """Kind "reader": CSV with a header; tab-separated where the file ends in .tsv. Empty cells are unknown."""

    suffixes = (".csv", ".tsv")

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """Row after row; one with too many or too few cells is broken."""
        csv.field_size_limit(2**31 - 1)
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as opened:
            reader = csv.reader(opened, delimiter="\t" if file.suffix == ".tsv" else ",")
            header = next(reader, [])
            for cells in reader:
                where = f"{name}:{reader.line_num}"
                if len(cells) != len(header):
                    broken.add(where, f"has {len(cells)} cells, its header {len(header)}")
                elif any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell):
                    broken.add(where, "is not UTF-8")
                else:
                    yield Row(where=where, values=self._values(dict(zip(header, cells, strict=True))))

    def _values(self, cells: dict[str, str]) -> dict[str, Any]:
        """Empty cells as None, a label that is a whole number as one."""
        values: dict[str, Any] = {name: cell or None for name, cell in cells.items()}
        label = self.options.columns.get("label", "label")
        if values.get(label):
            with suppress(ValueError):
                values[label] = int(values[label])
        return values


def _media(value: Any) -> Any:
    """Bytes, or the path of a file, of what `datasets` writes as {bytes, path}."""
    if isinstance(value, Mapping):
        return value.get("bytes") or value.get("path")
    return value
