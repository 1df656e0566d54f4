"""A row of a file before it is decoded, and the report of those that are broken."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, Sample, content_key

MEDIA = ("image", "audio", "video")
ASKED = (
    "prompt", "messages", "choices", "tests", "entry_point", "max_new_tokens", "stop", "original", "source_language",
    "target_language",
)  # fmt: skip
"""Fields of what is asked and how the answer is judged. A column of such a name was left out by releases before these
were known by name: tables that have one have another fingerprint now (`Table.fingerprint`)."""
FIELDS = ("text", "label", "source", *MEDIA, "answer", "rate", *ASKED)
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a file holds for one sample. `where` is FILE:LINE, for people."""

    where: str
    values: Mapping[str, Any]
    group: str = ""
    """What must not be divided between parts; empty: the row's source, else the row."""
    folder: Path | None = None
    """Where paths in it begin: its table's folder. None: it came from elsewhere, and its paths mean nothing here."""

    def fields(self, columns: Mapping[str, str]) -> dict[str, Any]:
        """The known fields, through `columns` where it names them; what is empty is left out."""
        names = {name: name for name in FIELDS} | dict(columns)
        found = {field: self.values[column] for field, column in names.items() if column in self.values}
        return {field: value for field, value in found.items() if value is not None}

    def share(self, source: Any, columns: Mapping[str, str] | None = None) -> str:
        """Decides the part: "train" for 80 of 100 groups, "development" and "held_out" for 10 each. With `columns` only
        what becomes a field counts: the same text under two numbers must not be learned from and held out."""
        shown = {columns.get(name, name) for name in (*FIELDS, *columns)} if columns is not None else set(self.values)
        values = {name: value for name, value in self.values.items() if name in shown}
        group = self.group or str(source or "") or json.dumps(values, sort_keys=True, default=_digest)
        place = int.from_bytes(hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()[:8]) % 10
        return {0: "development", 1: "held_out"}.get(place, "train")


class Malformed:
    """Counts broken rows, reports the first ones, and stops when there are too many."""

    def __init__(self, allowed: int) -> None:
        self.allowed, self.found = allowed, list[str]()
        self.bare, self.empties = list[str](), 0

    def add(self, where: str, reason: str) -> None:
        """One more; NexusError when it is one too many."""
        self.found.append(f"{where}: {reason}")
        if len(self.found) > self.allowed:
            shown = "\n  ".join(self.found[:SHOWN])
            raise NexusError(
                f"{len(self.found)} rows are broken, more than the {self.allowed} that are left out in silence:\n"
                f"  {shown}\nMend the file, or allow more in the data's options: malformed: NUMBER"
            )

    def empty(self, where: str) -> None:
        """One more row in which nothing stands: no mistake, however many there are."""
        if len(self.bare) < SHOWN:
            self.bare.append(where)
        self.empties += 1

    def samples(self, where: str, found: Iterable[Mapping[str, Any]], domain: str) -> list[Sample]:
        """The samples of one row; none where it is broken, or its text empty."""
        try:
            samples = [Sample(key=content_key(fields), fields=_utf8(fields), domain=domain) for fields in found]
            if not samples:
                self.empty(where)
            return samples
        except UnicodeEncodeError as error:
            self.add(where, f"holds {error.object[error.start]!r}, half of a character")
        except (ValueError, OSError, TypeError) as error:   # TypeError: a date or bytes where a text could stand
            self.add(where, str(error))
        return []

    def nothing(self) -> None:
        """No row could be read: NexusError where that is because all of them are broken."""
        if self.found:
            shown = "\n  ".join(self.found[:SHOWN])
            raise NexusError(f"None of the {len(self.found)} rows can be read:\n  {shown}\nMend the file.")

    def report(self) -> None:
        """The first broken rows, on stderr."""
        if self.found:
            rows = "row was" if len(self.found) == 1 else "rows were"
            lines = [f"{len(self.found)} broken {rows} left out:", *self.found[:SHOWN]]
            print("\n  ".join(lines), file=sys.stderr)
        if self.empties:
            more = ", …" if self.empties > len(self.bare) else ""
            rows = "row was" if self.empties == 1 else "rows were"
            print(f"{self.empties} empty {rows} left out: {', '.join(self.bare)}{more}.", file=sys.stderr)


class Unreported(Malformed):
    """For a look at rows that are read again: broken ones are neither counted nor kept."""

    def __init__(self) -> None:
        super().__init__(0)

    def add(self, where: str, reason: str) -> None:
        """Nothing: reading says it."""

    def empty(self, where: str) -> None:
        """Nothing: reading says it."""


def _utf8(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields; UnicodeEncodeError where a text of theirs cannot be written to any file."""
    for value in fields.values():
        if isinstance(value, str):
            value.encode()
    return fields


def _digest(value: Any) -> str:
    """Bytes and other things that JSON has no word for."""
    return hashlib.sha256(value if isinstance(value, bytes) else repr(value).encode()).hexdigest()
