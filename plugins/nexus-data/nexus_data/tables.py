"""Tables: parquet, JSON lines, CSV."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from nexus_specs import NexusError, Split

from . import decode
from .endings import with_packed
from .files import is_file, kind, version
from .lines import header_of, letters, lines_of, lost, once, rows_of
from .naming import behind, stored
from .opening import opened
from .options import TableOptions
from .parquets import parquet
from .reader import FileReader
from .rows import ASKED, FIELDS, Malformed, Row, Unreported
from .windows import windows

LONGEST = 64 << 20
"""Bytes of a line of JSON, letters of a cell of CSV."""
_WHOLE = re.compile(r"\s*[-+]?[0-9]{1,18}\s*")
"""A label that is a whole number; "1_0" is a word, though Python reads it as ten."""


class Table(FileReader):
    """Rows whose columns are fields: text as it is or in windows, media as bytes (as `datasets` stores them) or as
    paths, which begin in the table's folder."""

    options_type = TableOptions
    later: ClassVar[Mapping[str, Any]] = {"frames": 0}

    def fingerprint(self, split: Split) -> str:
        """As of any file; of a table in which fields stand that were once left out, or whose rows were once divided by
        all their columns, another one than then."""
        plain = super().fingerprint(split)
        files = [version(file) for file, _ in self.files(split) if is_file(file)]
        known = {*FIELDS, *self.options.columns.values()}
        if not self.options.parts and any(_columns(type(self), each) - known for each in files):
            plain = hashlib.sha256(f"{plain} divided by fields".encode()).hexdigest()
        asks = any(_asks(type(self), each) for each in files)
        return hashlib.sha256(f"{plain} {','.join(ASKED)}".encode()).hexdigest() if asks else plain

    def behind(self, split: Split) -> Iterator[tuple[Path, str]]:
        """The media that the tables name, by the names that stand there."""
        return behind(type(self), self.options.columns, self.files(split))

    def has(self, file: Path, columns: Collection[str]) -> bool:
        """Whether a file may hold any of these columns, by a look that decodes nothing."""
        return True

    def asks(self, file: Path) -> bool:
        """Whether it has a column of `ASKED`."""
        return self.has(file, ASKED)

    def fields(self, row: Row, fields: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Decoded; one sample for each window of the text."""
        if "image" in fields:
            several = fields["image"]
            fields["image"] = (
                [decode.image(stored(each, row.folder)) for each in several] if isinstance(several, list)
                else decode.image(stored(several, row.folder))
            )  # fmt: skip
        if "audio" in fields:
            fields["audio"], fields["rate"] = decode.audio(stored(fields["audio"], row.folder), self.options.rate)
        if "video" in fields:
            fields["video"] = decode.video(stored(fields["video"], row.folder), self.options.frames)
        if isinstance(label := fields.get("label"), float) and label.is_integer():
            fields["label"] = int(label)                    # pandas: numbers of a column with gaps
        if not isinstance(fields.get("label", 0), (int, str)):
            raise ValueError(f"the label is {type(fields['label']).__name__}, neither a number nor a word")
        if "text" not in fields:
            yield fields
            return
        if not isinstance(text := fields["text"], str):
            raise ValueError(f"the text is {type(text).__name__}, not a string")
        yield from ({**fields, "text": window} for window in windows(text, self.options.window) if window.strip())


class Parquet(Table):
    """Kind "reader": parquet files. An image or sound is bytes, or {bytes, path}; an empty label is unknown."""

    suffixes = (".parquet",)

    def has(self, file: Path, columns: Collection[str]) -> bool:
        """Whether one of them is there, and not all of it is bytes."""
        with parquet(file, file.name) as opened:
            return any(not _whole(opened, name) for name in set(columns) & set(opened.schema_arrow.names))

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """Row after row, a batch in memory at a time."""
        number = 0
        with parquet(file, name) as opened:
            for batch in opened.iter_batches(batch_size=256):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(where=f"{name}:{number}", values=values, folder=file.parent)


@lru_cache(maxsize=256)
def _asks(kind: type[Table], state: tuple[Path, int, int]) -> bool:
    """Whether a table, at one size and time of change, may have columns of `ASKED`."""
    try:
        return kind().asks(state[0])
    except NexusError:                                      # damaged: reading says it
        return False


@lru_cache(maxsize=256)
def _columns(kind: type[Table], state: tuple[Path, int, int]) -> frozenset[str]:
    """The columns of a table's first row, at one size and time of change."""
    try:
        first = next(kind().rows(state[0], state[0].name, Unreported()), None)
    except NexusError:
        return frozenset()
    return frozenset(first.values) if first else frozenset()


def _whole(opened: Any, column: str) -> bool:
    """Whether a column of parquet is bytes, or {bytes, path} of which every row has its bytes, as the file's own
    statistics say: then no path is looked at."""
    import pyarrow

    kind = opened.schema_arrow.field(column).type
    if not pyarrow.types.is_struct(kind):
        return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))
    groups = [opened.metadata.row_group(at) for at in range(opened.metadata.num_row_groups)]
    leaves = [group.column(at) for group in groups for at in range(group.num_columns)]
    counts = [leaf.statistics for leaf in leaves if leaf.path_in_schema == f"{column}.bytes"]
    return bool(counts) and all(each is not None and each.null_count == 0 for each in counts)


class Jsonl(Table):
    """Kind "reader": one JSON object a line."""

    suffixes = with_packed(".jsonl", ".ndjson")

    def has(self, file: Path, columns: Collection[str]) -> bool:
        """Whether a name of one stands anywhere in it; letters may be written as escapes."""
        words = [json.dumps(name).encode() for name in columns]
        with opened(file, file.name) as lines:
            return any(word in line for line in lines_of(lines, file.name, LONGEST) for word in (*words, b"\\u"))

    def asks(self, file: Path) -> bool:
        """Likewise by a line's own letters: nobody escapes those of such names, and texts are full of escapes."""
        words = [f'"{name}"'.encode() for name in ASKED]
        with opened(file, file.name) as lines:
            return any(word in line for line in lines_of(lines, file.name, LONGEST) for word in words)

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """Line after line; empty lines are nothing."""
        with opened(file, name) as lines:
            for number, line in enumerate(lines_of(lines, name, LONGEST), 1):
                where = f"{name}:{number}"
                if not line.strip():
                    continue
                try:
                    values = json.loads(line.decode("utf-8-sig"), object_pairs_hook=once)
                except (ValueError, RecursionError) as error:
                    broken.add(where, f"is not JSON ({error})")
                    continue
                if isinstance(values, dict):
                    yield Row(where=where, values=values, folder=file.parent)
                else:
                    broken.add(where, f"is {type(values).__name__}, not an object: put one on each line")


class Csv(Table):
    """Kind "reader": CSV with a header; tab-separated where the file ends in .tsv. Empty cells are unknown."""

    suffixes = with_packed(".csv", ".tsv")

    def has(self, file: Path, columns: Collection[str]) -> bool:
        """Whether one of them stands in the header."""
        with letters(file, file.name) as lines:
            return bool(set(columns) & set(header_of(self._cells(lines, file), file.name)))

    def fingerprint(self, split: Split) -> str:
        """As of any table; another one where spaces stood around the name of a field, which was none then."""
        plain = super().fingerprint(split)
        spaced = any(self._spaced(file) for file, _ in self.files(split) if is_file(file))
        return hashlib.sha256(f"{plain} without spaces".encode()).hexdigest() if spaced else plain

    def _spaced(self, file: Path) -> bool:
        known = {*FIELDS, *self.options.columns.values()}
        try:
            with letters(file, file.name) as lines:
                return any(name != name.strip() in known for name in next(self._cells(lines, file), []))
        except (NexusError, csv.Error):                     # damaged: reading says it
            return False

    def _cells(self, lines: Iterable[str], file: Path) -> Any:
        """What the standard library reads of it, line after line: strictly, else what stands behind a closing quote
        would be taken for the cell's own letters, and every row behind an open one for its last cell."""
        csv.field_size_limit(LONGEST)
        return csv.reader(lines, delimiter="\t" if kind(file).startswith(".tsv") else ",", strict=True)

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """Row after row; one with too many or too few cells is broken."""
        with letters(file, name) as lines:
            reader = self._cells(lines, file)
            header, before = header_of(reader, name), reader.line_num
            for cells, wrong in rows_of(reader, name):
                where, taken, before = f"{name}:{reader.line_num}", reader.line_num - before, reader.line_num
                if not cells and not wrong:
                    continue                                # an empty line is nothing
                if wrong or len(cells) != len(header):
                    self._swallowed(taken, where)
                    broken.add(where, f"{wrong or f'has {len(cells)} cells, its header {len(header)}'}{lost(taken)}")
                elif any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell):
                    broken.add(where, "is not UTF-8")
                else:
                    values = self._values(dict(zip(header, cells, strict=True)))
                    yield Row(where=where, values=values, folder=file.parent)

    def _swallowed(self, lines: int, where: str) -> None:
        """NexusError for a row that no header fits and that takes more lines than may be broken: each was one."""
        if lines > max(1, self.options.malformed):
            raise NexusError(f"{where}: {lines} lines were taken for one row. Look for a quote that is not closed.")

    def _values(self, cells: dict[str, str]) -> dict[str, Any]:
        """Empty cells as None, a label that is a whole number as one."""
        values: dict[str, Any] = {name: cell or None for name, cell in cells.items()}
        label = self.options.columns.get("label", "label")
        if _WHOLE.fullmatch(values.get(label) or ""):
            values[label] = int(values[label])
        return values
