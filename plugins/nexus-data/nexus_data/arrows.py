"""Arrow's own files: what `datasets` leaves where `save_to_disk` is called, and Feather."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, Split

from .files import version
from .rows import Malformed, Row
from .tables import Table

STATE = "state.json"
"""Beside a saved data set: which files it is made of. Others of that ending are what `datasets` once worked out from
it (cache-....arrow), and none of its rows."""
AT_ONCE = 256


class Arrow(Table):
    """Kind "reader": Arrow files, as a stream or as a file. An image or sound is bytes, or {bytes, path}."""

    suffixes = (".arrow", ".feather")

    def files(self, split: Split) -> list[tuple[Path, str]]:
        """Those of the data set, where one was saved there."""
        return [pair for pair in super().files(split) if _belongs(pair[0])]

    def has(self, file: Path, columns: Collection[str]) -> bool:
        """Whether one of them is there, and not all of it is bytes."""
        with _batches(file, file.name) as (schema, batches):
            known = set(columns) & set(schema.names)
            return any(_by_path(batch.column(name)) for batch in batches for name in known)

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """Row after row, a few in memory at a time."""
        number = 0
        with _batches(file, name) as (_, batches):
            for batch in batches:
                for start in range(0, batch.num_rows, AT_ONCE):
                    for values in batch.slice(start, AT_ONCE).to_pylist():
                        number += 1
                        yield Row(where=f"{name}:{number}", values=values, folder=file.parent)


@contextmanager
def _batches(file: Path, name: str) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Its schema and its batches. NexusError where it, or what is read of it here, is damaged."""
    import pyarrow

    try:
        with pyarrow.OSFile(str(file)) as raw:
            begins = raw.read(6)
            raw.seek(0)
            if begins == b"ARROW1":
                opened = pyarrow.ipc.open_file(raw)
                yield opened.schema, (opened.get_batch(at) for at in range(opened.num_record_batches))
            else:
                opened = pyarrow.ipc.open_stream(raw)
                yield opened.schema, iter(opened)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        said = " ".join(str(error).split())
        raise NexusError(f"{name} is no Arrow file that can be read ({said}). Write or fetch it again.") from error


def _by_path(column: Any) -> bool:
    """Whether anything in it may be a path."""
    import pyarrow

    kind = column.type
    if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return bool(column.field("bytes").null_count)
    return not (pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _belongs(file: Path) -> bool:
    """Whether a file is one of the data set that lies there, or no data set was saved there."""
    state = file.parent / STATE
    return file.name in _named(version(state)) if state.is_file() else True


@lru_cache(maxsize=256)
def _named(state: tuple[Path, int, int]) -> frozenset[str]:
    """The files that a saved data set says it is made of, at one size and time of change of what says so."""
    try:
        found = json.loads(state[0].read_text(encoding="utf-8"))["_data_files"]
        return frozenset(str(each["filename"]) for each in found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise NexusError(
            f"{state[0].name} beside the data does not say which files they are made of. Save them again with "
            "`save_to_disk`, or name the files: parts: {train: FILE, ...}"
        ) from error
