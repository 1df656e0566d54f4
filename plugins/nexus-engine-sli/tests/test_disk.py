"""One budget of disk for files of a hub, states that memory does not hold, and states that are kept."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.files.disk import Disk
from nexus_engine_sli.files.rolling import Rolling
from nexus_engine_sli.resuming import checkpoints
from nexus_engine_sli.running import streaming
from nexus_specs import Budget, Installed, NexusError, Sample, Tap, content_key
from nexus_specs.testing import ListSink
from nexus_specs.testing.hub import LocalHub

TAPS = ("model.layers.3", "final", "logprob")


class Durable(ListSink):
    """Of which the engine believes that it outlives the process."""

    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """What people should know."""
        self.notes.append(text)


class Watched(Disk):
    """Remembers the most that was taken."""

    def __init__(self, total: int = 0) -> None:
        super().__init__(total)
        self.most = dict.fromkeys(("all", *self.taken), 0)

    def _look(self) -> None:
        for use, size in (*self.taken.items(), ("all", sum(self.taken.values()))):
            self.most[use] = max(self.most[use], size)

    def hold(self, use: Any, size: int) -> None:
        super().hold(use, size)
        self._look()

    def spill(self, size: int) -> bool:
        found = super().spill(size)
        self._look()
        return found


def test_those_who_can_do_without_give_their_room() -> None:
    disk, given = Disk(1000), []

    def give(use: Any, left: int) -> None:
        given.append(use)
        disk.hold(use, left)

    for use, size, left in (("files", 500, 300), ("kept", 200, 0)):
        disk.hold(use, size)  # type: ignore[arg-type]
        disk.give[use] = lambda use=use, left=left: give(use, left)  # type: ignore[index, misc]
    assert disk.free == 300
    assert disk.spill(300)
    assert not given
    assert disk.spill(200)
    assert given == ["kept"]
    assert disk.spill(150)
    assert given == ["kept", "kept", "files"]
    assert not disk.spill(100)
    assert disk.taken == {"files": 300, "spilled": 650, "kept": 0}
    assert disk.shares().startswith("300 bytes for files of the hub, 650 for states, 0 for states that are kept")


def test_without_a_limit_there_is_room() -> None:
    disk = Disk()
    disk.hold("files", 10**12)
    assert disk.spill(10**15)


@pytest.fixture
def texts() -> list[Sample]:
    rows: list[dict[str, Any]] = [{"text": "layer " * (1 + at % 5) + str(at)} for at in range(30)]
    return [Sample(key=content_key(fields), fields=fields) for fields in rows]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    """States that must be spilled, a checkpoint of them before every unit, and a disk that is watched."""
    made: list[Watched] = []

    def disk(total: int = 0) -> Watched:
        made.append(Watched(total))
        return made[-1]

    monkeypatch.setattr("nexus_engine_sli.rooms.streamed.Disk", disk)
    monkeypatch.setattr(streaming.Observation, "_limit", lambda self: 1 << 13)
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    return made


def observed(source: str, samples: Sequence[Sample], budget: Budget) -> Durable:
    lookup, sink = Installed(), Durable()
    checkpoint = lookup.make("architecture", "transformers").open(source, lookup)
    with Sli().load(checkpoint, budget) as teacher:
        teacher.observe(samples, [Tap(path=path) for path in TAPS], sink)
    return sink


def test_all_three_share_one_budget(
    server: LocalHub, folder: Path, texts: Sequence[Sample], watched: list[Watched], tmp_path: Path
) -> None:
    here = observed(str(folder), texts, Budget(residency="stream", micro_batch=2, scratch=tmp_path / "plenty"))
    needs, weights = watched[0].most, sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert needs["spilled"] > 0
    assert needs["kept"] > needs["spilled"], "the one before and the one that is written"
    server.add("acme/large", folder)
    for total in (needs["all"] + weights // 3, needs["spilled"] * 5 // 4 + weights // 4):
        shutil.rmtree(tmp_path / "scratch", ignore_errors=True)
        budget = Budget(residency="stream", disk=total, scratch=tmp_path / "scratch", micro_batch=2)
        found = observed("acme/large", texts, budget)
        most = watched[-1].most
        assert most["files"] > 0
        assert most["spilled"] > 0
        assert most["all"] <= total
        assert "The states are not kept" in found.notes[0], "they are the first that is done without"
        for tap in TAPS:
            assert all(torch.equal(value, here.value(key, tap)) for key, value in found.values(tap).items())


def test_states_that_need_more_take_what_came_ahead(server: LocalHub, folder: Path, tmp_path: Path) -> None:
    """What is fetched again is still right."""
    server.add("acme/large", folder)
    lookup = Installed()
    checkpoint = lookup.make("architecture", "transformers").open("acme/large", lookup)
    total = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    budget = Budget(residency="stream", disk=total * 9 // 10, scratch=tmp_path / "scratch")
    with Sli().load(checkpoint, budget) as teacher:
        room: Any = teacher
        files, disk = room.room.files, room.room.disk
        assert isinstance(files, Rolling)
        assert disk.taken["files"] == files.holding.limit <= budget.disk // 2
        assert disk.spill(budget.disk - files.plan.peak)
        assert files.holding.limit == files.plan.peak
        assert not disk.spill(files.plan.peak + 1)


def test_what_is_under_way_ahead_of_its_use_gives_its_room_too(
    server: LocalHub, folder: Path, tmp_path: Path
) -> None:
    """States ask for their room at any moment, also while files come."""
    server.add("acme/large", folder)
    lookup = Installed()
    checkpoint = lookup.make("architecture", "transformers").open("acme/large", lookup)
    total = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    groups, disk = [part.extents for part in checkpoint.parts], Disk(total * 9 // 10)
    server.rate = 200_000.0
    files = Rolling(groups, tmp_path / "scratch", limit=disk.total // 2, disk=disk)
    files.reach(groups[0])
    assert files.holding.held > files.plan.peak, "more than what is needed now comes"
    assert disk.spill(disk.total - files.plan.peak)
    assert files.holding.held <= files.plan.peak
    server.rate = 0.0
    for group in groups:
        placed = files.place(group)
        assert all(files.local(each.file).is_file() for each in placed)
        files.done(group)
    files.close()


def test_too_little_for_states_says_who_has_the_rest(
    folder: Path, texts: Sequence[Sample], watched: list[Watched], tmp_path: Path
) -> None:
    budget = Budget(residency="stream", disk=10_000, scratch=tmp_path, micro_batch=2)
    with pytest.raises(NexusError, match=r"more than the 10,000 bytes of disk .*now 0 bytes for files.*run\.disk"):
        observed(str(folder), texts, budget)
