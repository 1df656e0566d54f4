"""Forwards brought back to where they were when a process was killed.

A new process starts the same forwards and hands them structures full of zeros in the place of the units that have
passed, so that their own code brings them to the same place in milliseconds; then it fills the storages. Edited
forwards that were not apart take over what the intact one of their batch was handed, as they did. What lives then must
be exactly what lived before; where it is not, the observation begins again: slower, never wrong.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..memory.tracking import INPUTS
from ..running.forwards import Run
from ..running.hub import Hub
from .checkpoints import TAKEN, Checkpoints, History
from .structures import NotStorable, build


@dataclass
class Saved:
    """A forward in a checkpoint."""

    apart: bool
    path: str
    visit: int
    segment: int
    passed: list[int]
    """Numbers of the structures that its units gave."""
    live: list[list[int]]
    """[segment, place, bytes, checksum] of each storage, in the order in which they lie in the file."""
    offset: int


class Mismatch(Exception):
    """A checkpoint does not lead to where it was taken."""


class Resumption:
    """A checkpoint that forwards are brought back to."""

    def __init__(self, checkpoints: Checkpoints, index: Mapping[str, Any]) -> None:
        self.checkpoints, self.file = checkpoints, Path(checkpoints.folder, index["file"])
        self.structures = [json.loads(text) for text in index["structures"]]
        self.runs = {name: Saved(**row) for name, row in index["runs"].items()}
        self.done = set(index["done"])

    @property
    def where(self) -> str:
        """Where the forwards wait, in words."""
        return next((f"before '{each.path}'" for each in self.runs.values()), "at the end")

    def bring(self, hub: Hub, runs: Sequence[Run]) -> None:
        """From started forwards of a batch, the intact one first, to where they were. Mismatch where that cannot be."""
        saved = [self.runs[self.checkpoints.names(run)] for run in runs]
        for at in range(max(len(each.passed) for each in saved)):
            output = None
            for run, each in zip(runs, saved, strict=True):
                if at < len(each.passed):
                    output = self._pass(hub, run, each.passed[at], output)
        output = None                                       # nothing but the forwards holds their states
        for run, each in zip(runs, saved, strict=True):
            stop = run.stop
            assert run.ledger is not None
            if stop is None or (stop.path, stop.visit, run.ledger.segment) != (each.path, each.visit, each.segment):
                raise Mismatch("the forward leads elsewhere")
            self._fill(run, each)
            run.replaying, run.apart = False, each.apart
            self.checkpoints.histories[run] = History(list(each.passed))

    def _pass(self, hub: Hub, run: Run, structure: int, taken: Any) -> Any:
        """Over a unit that has passed; -> what an edited forward that is not apart takes over."""
        if run.stop is None or run.stop.kind != "before" or run.ledger is None:
            raise Mismatch("the forward does not stop where it did")
        if structure == TAKEN and taken is None:
            raise Mismatch("the intact forward is over")
        hub.into(run)
        try:
            output = taken if structure == TAKEN else build(self.structures[structure], run.ledger)
        except NotStorable as reason:
            raise Mismatch(str(reason)) from reason
        hub.hand(run, output)
        self._needs(hub, run)
        return taken if run.edit else output

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
