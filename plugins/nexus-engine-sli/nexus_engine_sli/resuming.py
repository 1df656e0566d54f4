"""The states of a streamed observation in scratch, so that a killed one goes on at the layer where it was.

Every so often, when all forwards wait before a unit, the sink makes durable what it has, and everything on which the
forwards stand is written: the storages that live, by number (`tracking`), and what each unit gave, as a structure
(`structures`). A new process starts the same forwards, hands them structures full of zeros in the place of the units
that have passed, so that their own code brings them to the same place in milliseconds, and fills the storages. What
lives then must be exactly what lived before; where it is not, or where something cannot be described (a layer that
leaves a tensor in a cache, a number that was read off a state), the observation begins again: slower, never wrong.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nexus_torch.files import write_json

from .running import Hub, Run, Stop
from .spilling import memory_of
from .structures import NotStorable, build, describe
from .tracking import INPUTS

EVERY = 20.0
"""Seconds between two checkpoints, at least; and no more than a twentieth of the time goes into them."""
SHARE = 20
INDEX, SCHEMA = "states.json", "nexus.sli.states/1"
Keys = tuple[str, ...]


@dataclass
class Saved:
    """A forward in a checkpoint."""

    path: str
    visit: int
    segment: int
    passed: list[int]
    """Numbers of the structures that its units gave."""
    live: list[list[int]]
    """[segment, place, bytes, checksum] of each storage, in the order in which they lie in the file."""
    offset: int


@dataclass
class History:
    """What the units of one forward gave so far."""

    passed: list[int] = field(default_factory=list)
    fails: str = ""
    """Why it cannot be stored; "": it can."""


class Mismatch(Exception):
    """A checkpoint does not lead to where it was taken."""


class Checkpoints:
    """Writes and reads the states in a folder. `fingerprint` names equal work; `flush` makes the sink durable."""

    def __init__(self, folder: Path, fingerprint: str, disk: int, flush: Callable[[], None]) -> None:
        self.folder, self.fingerprint, self.disk, self.flush = folder, fingerprint, disk, flush
        self.structures: dict[str, int] = {}
        self.fresh: list[frozenset[int]] = []
        """Places of the storages that a structure makes, by its number."""
        self.histories: dict[Run, History] = {}
        self.last, self.took = time.monotonic(), 0.0
        self.keys: Callable[[Run], Keys] = lambda _: ()
        self.done: list[Keys] = []
        """Batches that ended; what they gave is in the sink."""

    def behind(self, run: Run, stop: Stop) -> None:
        """Notes what a unit gave."""
        history = self.histories.setdefault(run, History())
        if history.fails or run.ledger is None:
            return
        try:
            text = json.dumps(describe(stop.output, run.ledger))
        except NotStorable as reason:
            history.fails = str(reason)
            return
        if text not in self.structures:
            self._add(text)
        history.passed.append(self.structures[text])

    def _add(self, text: str) -> None:
        self.structures[text] = len(self.structures)
        self.fresh.append(frozenset(place for back, place in _numbers(json.loads(text)) if back == 0))

    def ended(self, run: Run) -> None:
        """A forward is over."""
        self.done.append(self.keys(run))
        self.histories.pop(run, None)

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self.last >= max(EVERY, SHARE * self.took)

    def write(self, runs: Sequence[Run], bring: Callable[[Run], None], settle: Callable[[Run], None]) -> None:
        """Writes where all forwards stand. Leaves the checkpoint before as it was where it cannot."""
        start = time.monotonic()
        try:
            if all(self._storable(run) for run in runs):
                self.flush()
                self._write(runs, bring, settle)
        except OSError:                                     # no room: the one before stays
            self._clean(self._index().get("file", ""))
        finally:
            self.last = time.monotonic()
            self.took = self.last - start

    def _storable(self, run: Run) -> bool:
        """Whether everything that lives in a forward was given by a unit or made outside of all."""
        history = self.histories.get(run, History())
        if history.fails or run.ledger is None or run.stop is None or run.stop.kind != "before":
            return False
        given = self._given(history)
        return all(
            number[0] == INPUTS or number[0] % 2 == 0 or number in given for number, _ in run.ledger.live()
        )

    def _given(self, history: History) -> set[tuple[int, int]]:
        return {(2 * at + 1, place) for at, number in enumerate(history.passed) for place in self.fresh[number]}

    def _write(self, runs: Sequence[Run], bring: Callable[[Run], None], settle: Callable[[Run], None]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name, rows = f"states-{time.monotonic_ns()}.bin", {}
        with (self.folder / name).open("wb", buffering=0) as file:
            for run in runs:
                bring(run)
                rows["\n".join(self.keys(run))] = self._row(run, file)
                settle(run)
            os.fsync(file.fileno())
        write_json(self.folder / INDEX, {
            "schema": SCHEMA, "fingerprint": self.fingerprint, "file": name, "structures": list(self.structures),
            "runs": rows, "done": ["\n".join(each) for each in self.done],
        })  # fmt: skip
        self._clean(name)

    def _row(self, run: Run, file: Any) -> dict[str, Any]:
        assert run.ledger is not None
        assert run.stop is not None
        offset, live = file.tell(), []
        for number, storage in run.ledger.live():
            if number[0] == INPUTS:
                continue
            if self.disk and file.tell() + storage.nbytes() > self.disk // 2:    # the one before is still there
                raise OSError("the budget of disk is used up")
            view = memory_of(storage) if storage.device.type == "cpu" else memoryview(_copy(storage))
            done = 0
            while done < len(view):
                done += file.write(view[done:])
            live.append([*number, len(view), zlib.crc32(view)])
        history = self.histories.get(run, History())
        return {
            "path": run.stop.path, "visit": run.stop.visit, "segment": run.ledger.segment,
            "passed": history.passed, "live": live, "offset": offset,
        }  # fmt: skip

    def _index(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            index = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
            if index.get("schema") == SCHEMA:
                return dict(index)
        return {}

    def _clean(self, keep: str) -> None:
        for path in self.folder.glob("states-*.bin"):
            if path.name != keep:
                path.unlink(missing_ok=True)

    def found(self) -> Resumption | None:
        """The checkpoint of equal work that is in the folder."""
        index = self._index()
        if index.get("fingerprint") != self.fingerprint or not (self.folder / str(index.get("file"))).is_file():
            return None
        for text in index["structures"]:
            self._add(text)
        self.done = [tuple(each.split("\n")) for each in index["done"]]
        return Resumption(self, self.folder / index["file"], index)

    def forget(self) -> None:
        """As if there had been no checkpoint."""
        self.remove()
        self.structures, self.fresh, self.histories, self.done = {}, [], {}, []

    def remove(self) -> None:
        """The observation is whole."""
        (self.folder / INDEX).unlink(missing_ok=True)
        self._clean("")


class Resumption:
    """A checkpoint that forwards are brought back to."""

    def __init__(self, checkpoints: Checkpoints, file: Path, index: Mapping[str, Any]) -> None:
        self.checkpoints, self.file = checkpoints, file
        self.structures = [json.loads(text) for text in index["structures"]]
        self.runs = {tuple(key.split("\n")): Saved(**row) for key, row in index["runs"].items()}
        self.done = {tuple(key.split("\n")) for key in index["done"]}

    def knows(self, keys: Keys) -> bool:
        """Whether a batch is in it, under way or done."""
        return keys in self.runs or keys in self.done

    def bring(self, hub: Hub, run: Run, keys: Keys) -> None:
        """From a started forward to where it was. Mismatch where that cannot be."""
        saved = self.runs[keys]
        assert run.ledger is not None
        for structure in saved.passed:
            if run.stop is None or run.stop.kind != "before":
                raise Mismatch("the forward does not stop where it did")
            run.ledger.turn()                               # into the unit, and by `resume` out of it again
            try:
                output = build(self.structures[structure], run.ledger)
            except NotStorable as reason:
                raise Mismatch(str(reason)) from reason
            hub.resume(run, (False, output))
            del output
            self._needs(hub, run)
        stop = run.stop
        if stop is None or (stop.path, stop.visit, run.ledger.segment) != (saved.path, saved.visit, saved.segment):
            raise Mismatch("the forward leads elsewhere")
        self._fill(run, saved)
        run.replaying = False
        self.checkpoints.histories[run] = History(list(saved.passed))

    def _needs(self, hub: Hub, run: Run) -> None:
        while run.stop is not None and run.stop.kind == "need":
            hub.room.borrow(run.stop.path)
            hub.resume(run, (True, None))

    def _fill(self, run: Run, saved: Saved) -> None:
        assert run.ledger is not None
        live = [(number, storage) for number, storage in run.ledger.live() if number[0] != INPUTS]
        if [[*number, storage.nbytes()] for number, storage in live] != [row[:3] for row in saved.live]:
            raise Mismatch("something else lives in the forward than did")
        with self.file.open("rb", buffering=0) as file:
            file.seek(saved.offset)
            for (_, storage), row in zip(live, saved.live, strict=True):
                data = bytearray(row[2])
                if file.readinto(data) != row[2] or zlib.crc32(data) != row[3]:
                    raise Mismatch("the file of states is damaged")
                if data:
                    flat = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
                    flat.copy_(torch.frombuffer(data, dtype=torch.uint8))


def _numbers(description: Any) -> Iterator[list[int]]:
    """The storages of a structure."""
    if isinstance(description, dict):
        if "number" in description:
            yield description["number"]
            return
        description = list(description.values())
    if isinstance(description, list):
        for each in description:
            yield from _numbers(each)


def _copy(storage: torch.UntypedStorage) -> bytearray:
    return bytearray(memory_of(storage.cpu()))


