"""Shards as training reads them: by key."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_specs import NexusError, Signal
from torch import Tensor

from ..files import TensorFile, file_hash
from ..padding import mask_of, pad
from .layout import STATE, read_index


class Shards:
    """A folder of shards, verified when it is opened.

    >>> shards = Shards(context.inputs("extract")["prose"])             # doctest: +SKIP
    >>> shards.signal([sample.key for sample in batch]).outputs["ids"]  # doctest: +SKIP
    """

    def __init__(self, folder: Path, *, verify: bool = True) -> None:
        self.folder, self.index = folder, read_index(folder)
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


def _rows(path: Path, names: Sequence[str]) -> dict[str, _Row]:
    file, keys = TensorFile(path), json.loads(path.with_suffix(".json").read_text())
    ends = {name: [0, *file.tensor(f"{name}.lengths").long().cumsum(0).tolist()] for name in names}
    return {
        key: _Row(file, {name: (ends[name][at], ends[name][at + 1]) for name in names}) for at, key in enumerate(keys)
    }
