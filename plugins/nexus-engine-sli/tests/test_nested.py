"""Layers whose weights a loader has beside them: each large one is a unit inside a unit that has none of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from nexus_engine_sli.rooms.resident import Resident
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.teacher import SliTeacher
from nexus_engine_sli.weights import units
from nexus_specs import Budget, Checkpoint, Sample, Tap
from nexus_specs.testing import ListSink


class Beside:
    """A checkpoint that knows of no tensor in which layer it is."""

    def __init__(self, inner: Checkpoint) -> None:
        self.inner = inner
        rest = next(part for part in inner.parts if not part.path)
        every = tuple(extent for part in inner.parts for extent in part.extents)
        layers = (replace(part, extents=()) for part in inner.parts if part.path)
        self.parts = (replace(rest, extents=every), *layers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_what_is_inside_is_read_once_and_stays_its_own(
    opened: Callable[[str], Checkpoint], inputs: Callable[[str], Sequence[Sample]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "LARGE", 1 << 10)
    checkpoint, samples = opened("decoder"), inputs("decoder")
    found = []
    for room in (Streamed(Beside(checkpoint), "cpu"), Resident(checkpoint, "cpu")):  # type: ignore[arg-type]
        sink = ListSink()
        teacher = SliTeacher(checkpoint, room, Budget(micro_batch=2))
        for again in range(3 if isinstance(room, Streamed) else 1):
            teacher.observe(samples, [Tap(path="logits"), Tap(path="model.layers.1")], sink)
            assert again or isinstance(room, Resident) or len(room.loads) == len(set(room.loads)), "each once"
        room.close()
        found.append(sink)
        if isinstance(room, Streamed):
            assert "model.layers.1.mlp.up_proj" in room.order
            assert len(room.loads) < 3 * len(set(room.loads)), "what comes back stays from then on"
    for tap in ("logits", "model.layers.1"):
        assert all(torch.equal(value, found[0].value(key, tap)) for key, value in found[1].values(tap).items())
