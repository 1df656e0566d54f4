"""Edits of a model that writes into what its modules gave, in place: each equals a plain forward with a hook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from nexus_engine_sli import batching
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.weights import units
from nexus_specs import Budget, Checkpoint, Sample, Tap
from nexus_specs.testing import ListSink

STAGES = "resnet.encoder.stages"
EDITED = (
    "resnet.embedder.pooler", f"{STAGES}.0.layers.0.layer.1",           # the residual is added to its output in place
    f"{STAGES}.0.layers.1.layer.0", f"{STAGES}.1.layers.0.shortcut", f"{STAGES}.1.layers.1",
)  # fmt: skip


class Edited:
    """Halves, gives what it was given, or the mean of all that it has seen."""

    def __init__(self, how: str, path: str) -> None:
        self.how, self.name, self.modules = how, f"{how}:{path}", (path,)
        self.total, self.count = torch.zeros(()), 0

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        self.total, self.count = self.total + output.sum(), self.count + output.numel()

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        if self.how == "mean":
            return (self.total / self.count).expand_as(output).clone()
        return inputs if self.how == "skip" and inputs.shape == output.shape else output / 2


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_every_forward_has_what_it_writes_into(
    residency: Any, opened: Callable[[str], Checkpoint], inputs: Callable[[str], Sequence[Sample]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Streamed, shortcuts are units of their own: a forward waits between what is added, and the adding."""
    monkeypatch.setattr(units, "LARGE", 1 << 8)
    monkeypatch.setattr(batching, "MORE", 1)
    checkpoint, samples = opened("residual"), inputs("residual")[:3]
    taps = [Tap(path="output"), Tap(path=f"{STAGES}.1.layers.0")]
    edits = [Edited(how, path) for how in ("halved", "skip", "mean") for path in EDITED]
    sink = ListSink()
    with Sli().load(checkpoint, Budget(micro_batch=1, residency=residency)) as teacher:
        assert residency == "resident" or f"{STAGES}.1.layers.0.shortcut.convolution" in teacher.room.order  # type: ignore[attr-defined]
        teacher.observe(samples, taps, sink, edits)
    assert len(sink.pieces) == len(samples) * len(taps) * (1 + len(edits)), "each piece once"
    with Sli().load(checkpoint, Budget(micro_batch=1, residency="resident")) as plain:
        for edit in edits:
            module, expected = plain.module.get_submodule(edit.modules[0]), ListSink()  # type: ignore[union-attr]
            handle = module.register_forward_hook(lambda _, given, made, edit=edit: edit.apply("", given[0], made))
            plain.observe(samples, taps, expected)
            handle.remove()
            for tap in taps:
                for key, value in expected.values(tap.path).items():
                    assert torch.equal(sink.value(key, tap.path, edit.name), value), (edit.name, tap.path)
