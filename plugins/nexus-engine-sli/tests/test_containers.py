"""Memory that a container leaves, with groups written as Linux shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from nexus_engine_sli.memory import containers
from nexus_engine_sli.planning import machine

GB = 1 << 30


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(containers, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(containers, "OWN", tmp_path / "self")
    return tmp_path


def written(folder: Path, limit: object, held: int, cached: int, *, first: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = containers.FIRST if first else containers.SECOND
    for name, value in zip((*names[:2], "memory.stat"), (limit, held, f"anon 7\n{names[2]} {cached}"), strict=True):
        (folder / name).write_text(f"{value}\n")


def test_the_tightest_group_around_the_process_counts(groups: Path) -> None:
    (groups / "self").write_text("0::/user.slice/run-7.scope\n")
    written(groups / "cgroup/user.slice/run-7.scope", "max", 2 * GB, 0)
    assert containers.left() is None
    written(groups / "cgroup/user.slice", 4 * GB, 3 * GB, GB // 2)
    assert containers.left() == 4 * GB - 3 * GB + GB // 2, "what is cached goes by itself"
    written(groups / "cgroup/user.slice/run-7.scope", 3 * GB, 2 * GB + GB // 2, 0)
    assert containers.left() == GB // 2
    assert machine.free_memory() <= GB // 2
    written(groups / "cgroup/user.slice/run-7.scope", GB, 2 * GB, 0)
    assert containers.left() == 0


def test_a_container_whose_group_is_the_root_and_the_first_version(groups: Path) -> None:
    (groups / "self").write_text("0::/elsewhere/on/the/host\n")
    written(groups / "cgroup", 2 * GB, GB, 0)
    assert containers.left() == GB
    (groups / "self").write_text("9:cpu,cpuacct:/a\n4:memory:/batch/job\n")
    written(groups / "cgroup/memory/batch/job", 2 * GB, GB, GB // 4, first=True)
    assert containers.left() == GB + GB // 4


def test_no_groups_are_no_limit(groups: Path) -> None:
    assert containers.left() is None
    (groups / "self").write_text("nonsense\n0::/\n")
    assert containers.left() is None
    assert machine.free_memory() > 0
