"""An extraction whose micro-batch does not divide a shard: stopped between two shards, it goes on to the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from nexus_engine_sli import batching
from nexus_engine_sli.resuming import checkpoints
from nexus_engine_sli.running import streaming
from nexus_observe import batches
from nexus_observe.extracting import ExtractStage
from nexus_specs import Budget, Sample, content_key
from nexus_torch.shards import ShardWriter

MICRO, ASKED = 3, 64


class Killed(Exception):
    """In the place of a signal."""


@pytest.fixture
def many(data: Mapping[str, list[Sample]]) -> list[Sample]:
    """More than a shard, of all lengths."""
    texts = [" ".join(["long"] * (1 + 7 * at % 11) + [str(at)]) for at in range(200)]
    return [Sample(key=content_key({"text": text}), fields={"text": text}) for text in texts]


def test_the_engine_groups_as_many_batches_as_a_shard_counts_with() -> None:
    assert batches.TOGETHER == batching.BATCHES_AT_ONCE
    assert batches.whole_batches(ASKED, MICRO) == 192


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_killed_between_shards_the_bytes_are_the_same(
    residency: Any, bench: Any, many: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 0)
    bench.run("profile", "prose")
    options = {"per_shard": ASKED, "exact": 2, "sampled": 2}
    more = {"options": options, "data": {"train": many}, "records": ("logits", "states")}

    def extract(name: str) -> Path:
        budget = Budget(scratch=tmp_path / name, micro_batch=MICRO, residency=residency)
        place = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        context = bench.context("extract", "prose", place, budget=budget, **more)
        ExtractStage().run(context)
        return Path(context.artefact)

    passed: list[tuple[str, ...]] = []
    batch = streaming.MicroBatch.__init__

    def noted(self: Any, keys: tuple[str, ...], batch_: Any) -> None:
        passed.append(keys)
        batch(self, keys, batch_)

    monkeypatch.setattr(streaming.MicroBatch, "__init__", noted)
    whole, write = extract("whole"), ShardWriter._write
    together = set(passed)

    def killed(self: ShardWriter, number: int) -> None:
        write(self, number)
        raise Killed

    monkeypatch.setattr(ShardWriter, "_write", killed)
    with pytest.raises(Killed):
        extract("killed")
    monkeypatch.setattr(ShardWriter, "_write", write)
    assert len(list((tmp_path / "killed" / "shards").glob("*.safetensors"))) == 1
    passed.clear()
    again = extract("killed")
    assert passed
    assert set(passed) <= together, "the same samples pass together"
    assert {each.name: each.read_bytes() for each in whole.iterdir()} == {
        each.name: each.read_bytes() for each in again.iterdir()
    }
