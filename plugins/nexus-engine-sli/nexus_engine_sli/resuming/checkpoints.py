"""The states of a streamed observation in scratch, so that a killed one goes on at the layer where it was.

Every so often, when all forwards wait before a unit, the sink makes durable what it has, and everything on which the
forwards stand is written: the storages that live, by number (`tracking`), and what each unit gave, as a structure
(`structures`). A new process is brought there by `returning`. Where something cannot be described (a layer that leaves
a tensor in a cache, a number that was read off a state), nothing is written: the observation would begin again.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from nexus_torch.files import write_json

from ..files.disk import Disk
from ..memory.spilling import memory_of, on_host
from ..memory.tracking import INPUTS, Family
from ..running.forwards import Run, Stop, family_of, seeded
from .structures import NotStorable, describe, numbers

log = logging.getLogger("nexus.sli")
EVERY = 20.0
"""Seconds between two checkpoints, at least; and no more than a twentieth of the time goes into them."""
SHARE = 20
INDEX, SCHEMA = "states.json", "nexus.sli.states/2"
TAKEN = -1
"""In the place of a structure: the intact forward's own output, which an edited one took over."""


@dataclass
class History:
    """What the units of one forward gave so far."""

    passed: list[int] = field(default_factory=list)
    fails: str = ""
    """Why it cannot be stored; "": it can."""


class Checkpoints:
    """Writes and reads the states in a folder. `fingerprint` names equal work; `flush` makes the sink durable; `files`
    are those from which came what a forward that waits before a unit has passed: they must not have changed. `note`
    tells people what they should know."""

    def __init__(
        self, folder: Path, fingerprint: str, disk: Disk, flush: Callable[[], None],
        files: Callable[[str], Sequence[str]] = lambda _: (), note: Callable[[str], None] = log.warning,
    ) -> None:  # fmt: skip
        self.note = note
        self.folder, self.fingerprint, self.disk, self.flush, self.files = folder, fingerprint, disk, flush, files
        self.structures: dict[str, int] = {}
        self.fresh: list[frozenset[int]] = []
        """Places of the storages that a structure makes, by its number."""
        self.histories: dict[Run, History] = {}
        self.last, self.took, self.refused, self.writing = time.monotonic(), 0.0, "", ""
        self.good = 0
        """Bytes of the file of states that is whole."""
        disk.give["kept"] = self.drop
        self.names: Callable[[Run], str] = lambda _: ""
        self.done: list[str] = []
        """Forwards that ended; what they gave is in the sink."""

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

    def taken(self, run: Run) -> None:
        """Notes that it took over what the intact forward of its batch was given."""
        self.histories.setdefault(run, History()).passed.append(TAKEN)

    def _add(self, text: str) -> None:
        self.structures[text] = len(self.structures)
        self.fresh.append(frozenset(place for back, place in numbers(json.loads(text)) if back == 0))

    def ended(self, run: Run) -> None:
        """A forward is over."""
        self.done.append(self.names(run))
        self.histories.pop(run, None)

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self.last >= max(EVERY, SHARE * self.took)

    def write(self, runs: Sequence[Run], bring: Callable[[Family], None], settle: Callable[[Family], None]) -> None:
        """Writes where all forwards stand. Where it cannot, it leaves the checkpoint before, and says why once."""
        start = time.monotonic()
        try:
            if all(self._storable(run) for run in runs):
                self.flush()
                self._write(runs, bring, settle)
        except OSError as error:                            # no room: the one before stays
            self.writing = ""
            self._clean(self._index().get("file", ""))
            self._refused(error)
        finally:
            self.writing = ""
            self.last = time.monotonic()
            self.took = self.last - start

    def _refused(self, error: OSError) -> None:
        if not self.refused:
            self.refused = f"The states are not kept ({error.strerror or error}): killed now, it would begin again."
            self.note(self.refused)

    def _storable(self, run: Run) -> bool:
        """Whether everything that lives in a forward was given by a unit or made outside of all."""
        history = self.histories.get(run, History())
        if history.fails or run.wrote or run.ledger is None:
            return False
        if run.stop is None or run.stop.kind != "before" or run.depth:
            return False
        if not torch.equal(run.random, seeded()):           # it would draw other numbers
            return False
        given = self._given(history)
        return all(
            number[0] == INPUTS or number[0] % 2 == 0 or number in given for number, _ in run.ledger.live()
        )

    def _given(self, history: History) -> set[tuple[int, int]]:
        own = [(at, number) for at, number in enumerate(history.passed) if number != TAKEN]
        return {(2 * at + 1, place) for at, number in own for place in self.fresh[number]}

    def _write(self, runs: Sequence[Run], bring: Callable[[Family], None], settle: Callable[[Family], None]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name, rows = f"states-{time.monotonic_ns()}.bin", {}
        self.writing = name
        with (self.folder / name).open("wb", buffering=0) as file:
            for family, kin in groupby(runs, key=family_of):
                bring(family)
                for run in kin:
                    rows[self.names(run)] = self._row(run, file)
                settle(family)
            os.fsync(file.fileno())
        write_json(self.folder / INDEX, {
            "schema": SCHEMA, "fingerprint": self.fingerprint, "file": name, "structures": list(self.structures),
            "runs": rows, "done": self.done, "files": self._stamps({run.stop.path for run in runs if run.stop}),
        })  # fmt: skip
        self._clean(name)

    def _stamps(self, units: Iterable[str]) -> dict[str, list[int]]:
        """Size and time of the files that were read on the way to some units."""
        return {file: _stamp(file) for unit in sorted(units) for file in self.files(unit)}

    def _row(self, run: Run, file: Any) -> dict[str, Any]:
        assert run.ledger is not None
        assert run.stop is not None
        offset, live = file.tell(), []
        for number, storage in run.ledger.live():
            if number[0] == INPUTS:
                continue
            self._fits(file.tell(), storage.nbytes())
            here = storage if on_host(storage) else storage.cpu()
            view = memory_of(here)
            done = 0
            while done < len(view):
                done += file.write(view[done:])
            live.append([*number, len(view), zlib.crc32(view)])
        history = self.histories.get(run, History())
        return {
            "apart": run.apart, "path": run.stop.path, "visit": run.stop.visit, "segment": run.ledger.segment,
            "passed": history.passed, "live": live, "offset": offset,
        }  # fmt: skip

    def _fits(self, at: int, more: int) -> None:
        """OSError where a file comes to more than half of what this use may have, since the one before is still there,
        or to more than that one leaves; or to more than it leaves of the disk itself, where the result goes."""
        room, left = self.disk.free + self.disk.taken["kept"], shutil.disk_usage(self.folder).free
        if at + more > left - more:
            raise OSError(errno.ENOSPC, "they would take more than they leave of the disk")
        if at + more > min(room // 2, room - self.good):
            raise OSError(errno.EDQUOT, f"they take more than half of the {room:,} bytes of disk")
        self.disk.hold("kept", self.good + at + more)

    def _index(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            index = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
            if index.get("schema") == SCHEMA:
                return dict(index)
        return {}

    def _clean(self, keep: str) -> None:
        for path in self.folder.glob("states-*.bin"):
            if path.name not in (keep, self.writing):
                path.unlink(missing_ok=True)
        left = {path.name: path.stat().st_size for path in self.folder.glob("states-*.bin")}
        self.good = sum(size for name, size in left.items() if name == keep)
        self.disk.hold("kept", sum(left.values()))

    def found(self) -> Mapping[str, Any] | None:
        """The index of the checkpoint of equal work that is in the folder."""
        index = self._index()
        if index.get("fingerprint") != self.fingerprint or not (self.folder / str(index.get("file"))).is_file():
            return None
        if any(_stamp(file) != stamp for file, stamp in index["files"].items()):
            return None
        self._clean(index["file"])
        for text in index["structures"]:
            self._add(text)
        self.done = list(index["done"])
        return index

    def forget(self) -> None:
        """As if there had been no checkpoint."""
        self.remove()
        self.structures, self.fresh, self.histories, self.done = {}, [], {}, []

    def remove(self) -> None:
        """The observation is whole."""
        self.drop()

    def drop(self) -> None:
        """What was kept goes; one that is being written stays."""
        (self.folder / INDEX).unlink(missing_ok=True)
        self._clean("")


def _stamp(file: str) -> list[int]:
    """Size and time of a file that lies here; nothing of one that is on a hub, at one commit."""
    try:
        found = Path(file).stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
