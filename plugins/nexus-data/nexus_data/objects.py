"""JSON files that are one whole: a list of objects, as sets to fine-tune on are often published."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from nexus_specs import NexusError

from .endings import with_packed
from .lines import once
from .opening import opened
from .rows import ASKED, FIELDS, Malformed, Row
from .tables import LONGEST, Jsonl

LARGEST = 1 << 30
"""Bytes of a file that is held in memory as a whole."""


class Json(Jsonl):
    """Kind "reader": a list of objects, an object that holds one such list, one object alone, or JSON lines."""

    suffixes = with_packed(".json")

    def has(self, file: Path, columns: Collection[str]) -> bool:
        """Whether a name of one stands anywhere in it; letters may be written as escapes."""
        return _holds(file, [*(json.dumps(name).encode() for name in columns), b"\\u"])

    def asks(self, file: Path) -> bool:
        """Likewise by its own letters."""
        return _holds(file, [f'"{name}"'.encode() for name in ASKED])

    def rows(self, file: Path, name: str, broken: Malformed) -> Iterator[Row]:
        """Object after object; `where` is the place of each in the list, from 1 on."""
        if _by_lines(file, name):
            yield from super().rows(file, name, broken)
            return
        for number, values in enumerate(self._objects(file, name), 1):
            where = f"{name}:{number}"
            if isinstance(values, dict):
                yield Row(where=where, values=values, folder=file.parent)
            else:
                broken.add(where, f"is {type(values).__name__}, not an object")

    def _objects(self, file: Path, name: str) -> list[Any]:
        try:
            found = json.loads(_content(file, name).decode("utf-8-sig"), object_pairs_hook=once)
        except (ValueError, RecursionError) as error:
            raise NexusError(f"{name} is no JSON that can be read ({error}). Write or fetch it again.") from error
        if isinstance(found, list):
            return found
        if not isinstance(found, dict):
            raise NexusError(f"{name} holds {type(found).__name__}, no list of objects. Write [{{...}}, {{...}}].")
        fields = {*FIELDS, *self.options.columns.values()}
        lists = [key for key, value in found.items() if _is_list(value)] if not fields & set(found) else []
        if len(lists) > 1:
            raise NexusError(f"{name} holds several lists: {', '.join(lists)}. Write each into a file of its own.")
        return list(found[lists[0]]) if lists else [found]


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _by_lines(file: Path, name: str) -> bool:
    """Whether the first line that is not empty is an object of its own, and another one follows."""
    with opened(file, name) as lines:
        found = (line for line in iter(lambda: lines.readline(LONGEST), b"") if line.strip())
        first, more = next(found, b""), next(found, b"")
    try:
        return bool(more) and isinstance(json.loads(first.decode("utf-8-sig")), dict)
    except (ValueError, RecursionError):
        return False


def _holds(file: Path, words: list[bytes]) -> bool:
    content = _content(file, file.name)
    return any(word in content for word in words)


def _content(file: Path, name: str) -> bytes:
    with opened(file, name) as raw:
        content = raw.read(LARGEST + 1)
    if len(content) > LARGEST:
        lines = f"jq -c '.[]' {file.name} > {file.stem}.jsonl"
        raise NexusError(f"{name} has more than {LARGEST >> 30} GB. Write one object on each line: {lines}")
    return content
