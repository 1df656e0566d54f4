"""How fast a disk is, is told by reading what lies on it."""

from __future__ import annotations

import os
import tempfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from nexus_engine_sli.planning import machine
from nexus_specs import Extent


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Extent]:
    """What is read."""
    found: list[Extent] = []
    native = machine.read

    def noted(extents: Any) -> Any:
        found.extend(extents)
        return native(extents)

    monkeypatch.setattr(machine, "read", noted)
    return found


def weights(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(1 << 20) * (size >> 20))
    return path


def test_of_a_checkpoint_little_is_read_before_its_time(
    tmp_path: Path, reads: list[Extent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is to be read once, so where nothing else lies on its disk a hundredth of it must tell."""
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda **_: pytest.fail("something was written"))
    monkeypatch.setattr(machine, "_libraries", lambda _: [])
    large = weights(tmp_path, "model.safetensors", 80 << 20)
    assert machine.read_rate(tmp_path) == 0
    os.truncate(large, 640 << 20)
    assert machine.read_rate(tmp_path) > 0
    assert {each.file for each in reads} == {str(large)}
    assert 4 << 20 < sum(each.stop - each.start for each in reads) < (640 << 20) / 100
    reads.clear()
    library = weights(tmp_path, "library", 30 << 20)
    monkeypatch.setattr(machine, "_libraries", lambda _: [library])
    assert machine.read_rate(tmp_path) > 0
    assert {each.file for each in reads} == {str(library)}
    assert sum(each.stop - each.start for each in reads) < (640 << 20) / 100


def test_a_folder_without_weights_is_measured_without_writing(
    tmp_path: Path, reads: list[Extent], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = weights(tmp_path, "library", 20 << 20)
    monkeypatch.setattr(machine, "_libraries", lambda _: [there])
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda **_: pytest.fail("something was written"))
    assert machine.read_rate(tmp_path) > 0
    assert {each.file for each in reads} == {str(there)}


def test_what_is_written_at_most_is_a_hundredth_of_what_is_free(
    tmp_path: Path, reads: list[Extent], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = namedtuple("free", "free")
    monkeypatch.setattr(machine, "_libraries", lambda _: [])
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: free(99 * machine.PROBE))
    assert machine.read_rate(tmp_path) == 0
    assert not reads
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: free(101 * machine.PROBE))
    assert machine.read_rate(tmp_path) > 0
    assert len(reads) == machine.READS
    assert not list(tmp_path.iterdir())
