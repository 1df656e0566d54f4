"""Shards as they come to be: from records in any order, of a process that may be killed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from nexus_specs import NexusError
from torch import Tensor

from ..files import TensorFile, file_hash, write_bytes, write_json, write_tensors
from ..journal import Journal
from ..naming import naming
from .layout import INDEX, SCHEMA, STATE, pair, stored

WAITING, MOST = "waiting.journal", 64 << 20
"""Where records wait for their shard; bytes of them that may wait in memory instead."""


class ShardWriter:
    """Writes what arrives, in any order, as shards of a fixed number of samples in a fixed order.

    A shard is written as soon as it is complete, and what waits for one goes to a journal (beyond MOST bytes, and all
    of it at `flush`), so a folder that a killed process left is taken up again: `pending` are the keys of incomplete
    shards, still to observe as far as they have not been.

    >>> writer = ShardWriter(folder, keys, ("tokens", "output"), teacher="prose")        # doctest: +SKIP
    >>> writer.put(key, "tokens", tokens); writer.finish()                               # doctest: +SKIP
    """

    def __init__(
        self,
        folder: Path,
        keys: Sequence[str],
        names: Sequence[str],
        *,
        teacher: str,
        records: Sequence[str] = (),
        optional: Collection[str] = (),
        vocabulary: int = 0,
        per_shard: int = 256,
    ) -> None:
        self.folder, self.names, self.vocabulary = folder, tuple(sorted(names)), vocabulary
        self.optional = frozenset(optional)
        """Records that may turn out to be empty of every sample, and are then not in the index."""
        self.about = {"schema": SCHEMA, "teacher": teacher, "records": sorted(records), "vocabulary": vocabulary}
        ordered = list(dict.fromkeys(keys))
        self.groups = [ordered[first : first + per_shard] for first in range(0, len(ordered), per_shard)]
        self.group_of = {key: number for number, group in enumerate(self.groups) for key in group}
        self.waiting: dict[int, dict[tuple[str, str], dict[str, Tensor] | None]] = {}
        """By shard: a record, or None where the journal has it."""
        self.held, self.fresh = 0, set[tuple[str, str]]()
        """Bytes of records in memory; what this process has put."""
        self.done = {number for number in range(len(self.groups)) if self._finished(number)}
        self.journal = Journal(folder / WAITING)
        for key, name in list(self.journal.places):
            if key in self.group_of and name in self.names and self.group_of[key] not in self.done:
                self._add(key, name, None)

    @property
    def pending(self) -> list[str]:
        """Keys whose shard is not written yet, in order."""
        return [key for number, group in enumerate(self.groups) if number not in self.done for key in group]

    def put(self, key: str, name: str, value: Tensor) -> None:
        """One tensor of one sample, as in the table above (states as float [T, R]). Of several the last counts, as with
        any hook (ALBERT's layers are one that runs several times); the first again after a kill changes nothing."""
        number = self.group_of[key]
        if number in self.done:
            return
        if (key, name) not in self.waiting.get(number, {}) or (key, name) in self.fresh:
            self._add(key, name, stored(name, value.detach().cpu(), self.vocabulary))
            if self.held > MOST:
                self._to_journal()
        self.fresh.add((key, name))

    def flush(self) -> None:
        """What was put survives from here on."""
        self._to_journal()
        self.journal.sync()

    def forget(self) -> None:
        """What waits for its shard is worth nothing: it is observed again."""
        self.waiting, self.held, self.fresh = {}, 0, set()
        self.journal.remove()

    def finish(self) -> list[Path]:
        """Writes the index; NexusError where something never arrived. -> all files of the folder, the index last."""
        if missing := self.pending:
            there = {name for shard in self.waiting.values() for _, name in shard}
            never = [name.removeprefix(STATE) for name in self.names if name not in there]
            which = f" Nothing ever came of {', '.join(map(repr, never[:4]))}: it does not run." if never else ""
            raise NexusError(
                f"The shards of '{self.about['teacher']}' are not complete: nothing, or not every record, was "
                f"observed for {len(missing)} of {len(self.group_of)} samples, the first of them '{missing[0]}'.{which}"
            )
        files = [path for number in range(len(self.groups)) for path in pair(self.folder, number)]
        index = self.about | {"keys": len(self.group_of), "names": self.present()}
        write_json(self.folder / INDEX, index | {"files": {path.name: file_hash(path) for path in files}})
        self.journal.remove()
        return [*files, self.folder / INDEX]

    def present(self) -> list[str]:
        """The names of what was recorded, without optional ones that are empty of every sample."""
        shards = [TensorFile(pair(self.folder, number)[0]) for number in sorted(self.done)]
        return [
            name for name in self.names
            if name not in self.optional or any(bool(each.tensor(f"{name}.lengths").any()) for each in shards)
        ]  # fmt: skip

    def _add(self, key: str, name: str, value: dict[str, Tensor] | None) -> None:
        number = self.group_of[key]
        shard = self.waiting.setdefault(number, {})
        self.held += _size(value) - _size(shard.get((key, name)))
        shard[key, name] = value
        if len(shard) == len(self.groups[number]) * len(self.names):
            self._write(number)

    def _to_journal(self) -> None:
        for shard in self.waiting.values():
            for name, value in shard.items():
                if value is not None:
                    self.journal.append(name, value)
                    shard[name] = None
        self.held = 0

    def _write(self, number: int) -> None:
        shard, group, tensors = self.waiting.pop(number), self.groups[number], {}
        self.held -= sum(map(_size, shard.values()))
        for name in self.names:
            rows = [shard[key, name] or self.journal.read((key, name)) for key in group]
            tensors[f"{name}.lengths"] = torch.tensor([len(row[name]) for row in rows], dtype=torch.int32)
            tensors |= {part: torch.cat([row[part] for row in rows]) for part in rows[0]}
        path, keys = pair(self.folder, number)
        with naming(path, self.names):
            write_tensors(path, tensors)
        write_bytes(keys, json.dumps(group).encode())       # last: it says that the shard is whole
        self.done.add(number)

    def _finished(self, number: int) -> bool:
        path, keys = pair(self.folder, number)
        if not (path.is_file() and keys.is_file()) or json.loads(keys.read_text()) != self.groups[number]:
            return False
        return {f"{name}.lengths" for name in self.names} <= set(TensorFile(path).entries)


def _size(record: Mapping[str, Tensor] | None) -> int:
    return sum(each.nbytes for each in (record or {}).values())
