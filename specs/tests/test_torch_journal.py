"""Records that wait for their shard."""

from __future__ import annotations

from pathlib import Path

import torch
from nexus_torch.journal import Journal
from nexus_torch.shards import WAITING, ShardWriter

RECORD = {"state": torch.arange(6, dtype=torch.int8).reshape(3, 2), "scale": torch.rand(3).half()}


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append(("a", "state"), RECORD)
    journal.append(("b", "output"), {"output": torch.empty(0, 4)})
    journal.sync()
    again = Journal(tmp_path / "journal")
    assert set(again.places) == {("a", "state"), ("b", "output")}
    assert all(torch.equal(found, RECORD[part]) for part, found in again.read(("a", "state")).items())
    assert again.read(("b", "output"))["output"].shape == (0, 4)


def test_what_a_kill_cut_off_or_spoilt_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append(("a", "state"), RECORD)
    whole = path.stat().st_size
    journal.append(("b", "state"), RECORD)
    data = path.read_bytes()
    for spoilt in (data[:-3], data[: whole + 5], data[:-6] + b"\xff" + data[-5:]):
        path.write_bytes(spoilt)
        again = Journal(path)
        assert set(again.places) == {("a", "state")}
        again.append(("c", "state"), RECORD)
        assert set(Journal(path).places) == {("a", "state"), ("c", "state")}


def test_records_that_wait_outlive_the_process_and_change_no_byte(tmp_path: Path) -> None:
    keys, states = ["a", "b", "c"], {key: torch.randn(4, 8) for key in "abc"}

    def writer(folder: Path) -> ShardWriter:
        return ShardWriter(folder, keys, ("tokens", "state:x"), teacher="t", per_shard=2)

    whole, stopped = writer(tmp_path / "whole"), writer(tmp_path / "stopped")
    for each in (whole, stopped):
        for key in keys:
            each.put(key, "state:x", states[key])
    stopped.flush()
    assert (tmp_path / "stopped" / WAITING).is_file()
    again = writer(tmp_path / "stopped")
    for each in (whole, again):
        for key in keys:
            each.put(key, "tokens", torch.arange(4))
        each.finish()
    assert not (tmp_path / "stopped" / WAITING).exists()
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "stopped")]
    assert files[0] == files[1]
