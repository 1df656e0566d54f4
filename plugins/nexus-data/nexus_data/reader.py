"""What all readers of files share: parts, fields, order, keys."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from nexus_specs import NexusError, Sample, Split

from .apart import check_apart
from .files import content_hash, part_files
from .options import FileOptions
from .rows import Malformed, Row

LAYOUT = 1
"""Raised when the same files give other samples than before."""

SHOWS = frozenset({"text", "messages", "image", "audio", "video"})
"""Fields of which a sample has one."""
WHERE = ("path", "parts", "malformed")
"""Options that say where the files lie or how much is reported: no part of what is read."""


class FileReader:
    """Kind "reader". A subclass gives the rows of a file, and the samples' fields of a row."""

    options_type: ClassVar[type[FileOptions]] = FileOptions
    later: ClassVar[Mapping[str, Any]] = {}
    """Options that came after LAYOUT, with the value at which they change nothing: no part of the fingerprint then, so
    that data of releases before them are still known."""
    suffixes: ClassVar[Sequence[str]] = ()

    def __init__(self, **options: Any) -> None:
        self.options: Any = self.options_type(**options)

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """The rows of one file, in order."""
        raise NotImplementedError

    def fields(self, row: Row, fields: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The fields of each sample that a row gives, decoded; ValueError for a row that is broken."""
        yield fields

    def files(self, split: Split) -> list[tuple[Path, str]]:
        """(file, name) of a part; of all parts where they are not given."""
        return part_files(self.options.path, dict(self.options.parts), split, self.suffixes)

    def behind(self, split: Split) -> Iterator[tuple[Path, str]]:
        """(file, name) of what the rows of a part name, and what is read with them."""
        yield from ()

    def fingerprint(self, split: Split) -> str:
        """Of the content of the files, and of those behind them, and of the options that decide what is read."""
        if split == "held_out" and "train" in self.options.parts:
            check_apart(lambda: self.files("train"), self.files(split))
        options = dataclasses.asdict(self.options)
        said = {name: value for name, value in options.items() if name not in WHERE}
        kept = sorted((name, repr(value)) for name, value in said.items() if self.later.get(name, ...) != value)
        given = split if self.options.parts else f"split {split}"
        return content_hash((*self.files(split), *self.behind(split)), (LAYOUT, type(self).__name__, given, kept))

    def samples(self, split: Split, start: int = 0) -> Iterator[Sample]:
        """In the order of the files' names and of their rows, from `start` on. NexusError where every row is broken."""
        broken = Malformed(self.options.malformed)
        found = self._samples(split, broken)
        yield from islice(found, start, min(self.options.limit, sys.maxsize) or None)
        broken.report()

    def _samples(self, split: Split, broken: Malformed) -> Iterator[Sample]:
        known, taken, given = False, 0, 0
        for file, name in self.files(split):
            for row in self.rows(file, name, broken):
                fields = row.fields(self.options.columns)
                self._check(row, known)
                known = True
                if not set(fields) & SHOWS:
                    broken.empty(row.where)
                elif self.options.parts or row.share(fields.get("source"), self.options.columns) == split:
                    taken += 1
                    for sample in self._decoded(row, fields, broken):
                        given += 1
                        yield sample
        whole = bool(self.options.parts) or split == "train"    # of a few rows' tenth, one that is broken may be all
        if not known or (taken and not given and whole):
            broken.nothing()

    def _decoded(self, row: Row, fields: dict[str, Any], broken: Malformed) -> Iterator[Sample]:
        found = self.fields(row, {"source": row.where, **fields})
        yield from broken.samples(row.where, found, self.options.domain)

    def _check(self, row: Row, known: bool) -> None:
        """A column that is named and missing from every row is a mistake of the registry, not of the file; one that is
        there and empty in this row is neither, nor is one that an earlier row had (it is `known`)."""
        for field, column in self.options.columns.items():
            if column not in row.values:
                raise NexusError(
                    f"{row.where} has no column '{column}' (for the field '{field}'). "
                    f"Its columns: {', '.join(map(str, row.values))}."
                )
        if not known and not {self.options.columns.get(field, field) for field in SHOWS} & set(row.values):
            raise NexusError(
                f"{row.where} has no text, image, audio or video. Its columns: {', '.join(map(str, row.values))}. "
                "Say which is which: columns: {text: NAME}"
            )
