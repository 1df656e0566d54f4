"""A teacher's outputs on disk, by sample: tensors of many samples end to end, with their lengths, in safetensors.

| name | one sample | stored as |
|---|---|---|
| `tokens`, `spans` | int [T], [T, 2] | int32 |
| `ids`, `probabilities` | sparse next-token distribution [T, K] | int16 or int32; float16 |
| `output` | [C] | float32 |
| `state:PATH` | [T, R], in the profile's basis | int8, and `state:PATH.scale` float16 [T] |

Beside every name stands `NAME.lengths` int32 [n]. `shard-00000.json` lists the keys of a shard in order, `index.json`
the files with their hashes. Reading is by key, never by order.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nexus_specs import NexusError, Signal
from torch import Tensor

from .files import TensorFile, file_hash, write_bytes, write_json, write_tensors
from .journal import Journal
from .naming import naming
from .padding import mask_of, pad

SCHEMA, INDEX, STATE = "nexus.shards/1", "index.json", "state:"
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
        self.held = 0
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
        """One tensor of one sample, as in the table above (states as float [T, R]); a second time changes nothing."""
        number = self.group_of[key]
        if number in self.done:
            return
        if (key, name) not in self.waiting.get(number, {}):
            self._add(key, name, self._stored(name, value.detach().cpu()))
            if self.held > MOST:
                self._to_journal()

    def flush(self) -> None:
        """What was put survives from here on."""
        self._to_journal()
        self.journal.sync()

    def forget(self) -> None:
        """What waits for its shard is worth nothing: it is observed again."""
        self.waiting, self.held = {}, 0
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
        files = [path for number in range(len(self.groups)) for path in _pair(self.folder, number)]
        index = self.about | {"keys": len(self.group_of), "names": self.present()}
        write_json(self.folder / INDEX, index | {"files": {path.name: file_hash(path) for path in files}})
        self.journal.remove()
        return [*files, self.folder / INDEX]

    def present(self) -> list[str]:
        """The names of what was recorded, without optional ones that are empty of every sample."""
        shards = [TensorFile(_pair(self.folder, number)[0]) for number in sorted(self.done)]
        return [
            name for name in self.names
            if name not in self.optional or any(bool(each.tensor(f"{name}.lengths").any()) for each in shards)
        ]  # fmt: skip

    def _stored(self, name: str, value: Tensor) -> dict[str, Tensor]:
        if name.startswith(STATE):
            return quantise(value, name)
        if name == "ids":
            return {name: value.to(torch.int16 if 0 < self.vocabulary < 2**15 else torch.int32)}
        kind = {"tokens": torch.int32, "spans": torch.int32, "probabilities": torch.float16}
        return {name: value.to(kind.get(name, torch.float32))}

    def _add(self, key: str, name: str, value: dict[str, Tensor] | None) -> None:
        number = self.group_of[key]
        shard = self.waiting.setdefault(number, {})
        shard[key, name] = value
        self.held += _size(value)
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
        path, keys = _pair(self.folder, number)
        with naming(path, self.names):
            write_tensors(path, tensors)
        write_bytes(keys, json.dumps(group).encode())       # last: it says that the shard is whole
        self.done.add(number)

    def _finished(self, number: int) -> bool:
        path, keys = _pair(self.folder, number)
        if not (path.is_file() and keys.is_file()) or json.loads(keys.read_text()) != self.groups[number]:
            return False
        return {f"{name}.lengths" for name in self.names} <= set(TensorFile(path).entries)


class Shards:
    """A folder of shards, verified when it is opened.

    >>> shards = Shards(context.inputs("extract")["prose"])             # doctest: +SKIP
    >>> shards.signal([sample.key for sample in batch]).outputs["ids"]  # doctest: +SKIP
    """

    def __init__(self, folder: Path, *, verify: bool = True) -> None:
        self.folder, self.index = folder, _read_index(folder)
        if verify:
            self._verify()
        self.teacher: str = self.index["teacher"]
        self.names: tuple[str, ...] = tuple(self.index["names"])
        self.vocabulary: int = self.index["vocabulary"]
        self.rows: dict[str, _Row] = {}
        for name in sorted(self.index["files"]):
            if name.endswith(".safetensors"):
                self.rows |= _rows(folder / name, self.names)
        self.keys: tuple[str, ...] = tuple(self.rows)

    @property
    def states(self) -> tuple[str, ...]:
        """Module paths whose states are here."""
        return tuple(name.removeprefix(STATE) for name in self.names if name.startswith(STATE))

    def __contains__(self, key: object) -> bool:
        return key in self.rows

    def signal(self, keys: Sequence[str], states: Collection[str] | None = None) -> Signal:
        """What the teacher said of these samples, padded on the right: `tokens` and `mask` [B, T], `spans` [B, T, 2],
        `outputs` "ids" and "probabilities" [B, T, K] or "output" [B, C], `states` {path: float32 [B, T, R]} (only
        those in `states`, if given). NexusError for a sample that was not observed."""
        rows = [self._row(key) for key in keys]
        wanted = [path for path in self.states if states is None or path in states]
        tokens = [row.read("tokens").long() for row in rows] if "tokens" in self.names else None
        return Signal(
            keys=tuple(keys),
            tokens=None if tokens is None else pad(tokens),
            mask=None if tokens is None else mask_of([len(each) for each in tokens]),
            spans=pad([row.read("spans").long() for row in rows]) if "spans" in self.names else None,
            states={path: pad([row.state(path) for row in rows]) for path in wanted},
            outputs=self._outputs(rows),
        )

    def _outputs(self, rows: Sequence[_Row]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name in ("ids", "probabilities", "output"):
            if name in self.names:
                values = [row.read(name) for row in rows]
                found[name] = pad([value.long() if name == "ids" else value.float() for value in values])
        return found

    def _row(self, key: str) -> _Row:
        if key not in self.rows:
            raise NexusError(
                f"The shards of '{self.teacher}' in '{self.folder}' have no sample '{key}': the data changed since "
                "they were written. Run `nexus run --stage extract`."
            )
        return self.rows[key]

    def _verify(self) -> None:
        for name, expected in self.index["files"].items():
            path = self.folder / name
            if not path.is_file() or file_hash(path) != expected:
                raise NexusError(f"The shard '{path}' is damaged or missing. Run `nexus run --stage extract` again.")


@dataclass(frozen=True, slots=True)
class _Row:
    """Where one sample lies in its file: (first, last) by name."""

    file: TensorFile
    places: Mapping[str, tuple[int, int]]

    def read(self, name: str) -> Tensor:
        return self.file.rows(name, *self.places[name])

    def state(self, path: str) -> Tensor:
        first, last = self.places[STATE + path]
        scale = self.file.rows(f"{STATE}{path}.scale", first, last)
        return self.file.rows(STATE + path, first, last).float() * scale.float()[:, None]


def quantise(state: Tensor, name: str = "state") -> dict[str, Tensor]:
    """States [T, R] as int8 with one scale a token: {name, name.scale}; largest error half a step, scale / 2."""
    scale = (state.float().abs().amax(-1) / 127).clamp(min=6e-5, max=65504).half()
    steps = (state.float() / scale.float()[:, None]).round().clamp(-127, 127)
    return {name: steps.to(torch.int8), f"{name}.scale": scale}


def _size(record: Mapping[str, Tensor] | None) -> int:
    return sum(each.nbytes for each in (record or {}).values())


def _pair(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"shard-{number:05d}.safetensors", folder / f"shard-{number:05d}.json"


def _rows(path: Path, names: Sequence[str]) -> dict[str, _Row]:
    file, keys = TensorFile(path), json.loads(path.with_suffix(".json").read_text())
    ends = {name: [0, *file.tensor(f"{name}.lengths").long().cumsum(0).tolist()] for name in names}
    return {
        key: _Row(file, {name: (ends[name][at], ends[name][at + 1]) for name in names}) for at, key in enumerate(keys)
    }


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NexusError(f"'{path}' is not a readable index of shards. Run `nexus run --stage extract`.") from error
    if index.get("schema") != SCHEMA:
        raise NexusError(f"'{path}' has the schema {index.get('schema')!r}; this version reads '{SCHEMA}'.")
    return index
