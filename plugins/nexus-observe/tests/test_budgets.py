"""One budget of disk: what a profiler keeps is none of the engine's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nexus_observe.profiling import beside
from nexus_observe.rows import exact
from nexus_observe.tapping import Taps
from nexus_observe.unfinished import Unfinished
from nexus_specs import Blueprint, Budget, Installed, Machine, Stack

GB = 10**9
LARGE = Blueprint(
    family="llama", head="LlamaForCausalLM", takes=("text",), gives=("text",), parameters=70 * GB, dtype="bfloat16",
    active_parameters=70 * GB, bytes=140 * GB, context=4096, vocabulary=32000,
    stacks=(Stack(path="model.layers", count=80, widths=(8192,) * 80, layer_bytes=(GB,) * 80,
                  layer_parameters=(GB // 2,) * 80),),
)  # fmt: skip
BUDGET = Budget(disk=40 * GB, memory=16 * GB, micro_batch=1, residency="auto")


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    installed = Installed()
    return installed.make("profiler", "niwt"), installed.make("engine", "sli")


def test_states_of_a_profile_and_the_engine_share_the_disk(parts: tuple[Any, Any]) -> None:
    profiler, engine = parts
    left = beside(profiler, engine, LARGE, BUDGET).disk
    assert left + profiler.keeps(LARGE, BUDGET) == BUDGET.disk
    assert left == 30 * GB, "a quarter is kept for states"
    small = replace(LARGE, parameters=GB, active_parameters=GB, bytes=2 * GB)
    assert beside(profiler, engine, small, replace(BUDGET, residency="resident")).disk == BUDGET.disk
    assert beside(profiler, engine, LARGE, replace(BUDGET, disk=0)).disk == 0, "no limit"
    assert beside(object(), engine, LARGE, BUDGET) is BUDGET, "who keeps nothing"


@pytest.mark.parametrize("residency", ["auto", "resident", "offload", "stream"])
@pytest.mark.parametrize("quantise", ["", "nf4"])
def test_what_is_judged_is_unpacked_and_streams_where_it_should(residency: Any, quantise: Any) -> None:
    found = exact(replace(BUDGET, residency=residency, quantise=quantise))
    assert (found.precision, found.quantise) == ("float32", "")
    held = residency if residency == "stream" or not quantise else "auto"
    assert found.residency == held, "what was to fit packed may not fit so"


def test_the_memory_stays_what_it_was_when_the_work_began(parts: tuple[Any, Any], tmp_path: Path) -> None:
    """By it a large head is divided, and with that the last bits of its sums: another process may find less of it."""
    engine, work, asked = parts[1], Unfinished(tmp_path / "out"), {"files": None}
    small = replace(LARGE, parameters=GB, active_parameters=GB, bytes=2 * GB)
    work.folder.mkdir()
    work.begin(asked, replace(BUDGET, memory=3 * GB))
    pinned = work.take_up(asked)
    for given, memory in (("", 3 * GB), ("2GB", 2 * GB)):
        found = Taps(source="x", data="y", memory=given)._settled(engine, small, tmp_path, pinned, 256)
        assert found.memory == memory, "unless another one is named"


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("2,4", 2), ("", 7), ("many", 7), ("0", 7)])
def test_threads_are_those_of_the_environment_unless_named(
    said: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    machine = Machine(
        processor="one", cores=7, device="cpu", memory=GB, device_memory=0, bfloat16=False, gigaflops=1.0
    )
    assert Taps(source="x", data="y")._budget(machine, tmp_path).threads == threads
    assert Taps(source="x", data="y", threads=5)._budget(machine, tmp_path).threads == 5
