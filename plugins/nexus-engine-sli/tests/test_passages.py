"""Forwards pass untracked where the first one left nothing behind, and tracked where one did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.memory.tracking import Ledger, Tracker
from nexus_engine_sli.running.forwards import Run, Stop
from nexus_engine_sli.running.passages import Passages, leaves
from nexus_engine_sli.running.streaming import Observation
from nexus_specs import Budget, Checkpoint, Sample, Tap
from nexus_specs.testing import ListSink
from torch import nn

Opened, Inputs = Callable[[str], Checkpoint], Callable[[str], Sequence[Sample]]
TAPS = ("model.layers.1", "logprob")


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The operations that the tracker saw."""
    seen: list[Any] = []
    native = Tracker.__torch_dispatch__

    def dispatch(self: Tracker, func: Any, *given: Any) -> Any:
        seen.append(func)
        return native(self, func, *given)

    monkeypatch.setattr(Tracker, "__torch_dispatch__", dispatch)
    return seen


def observed(checkpoint: Checkpoint, samples: Sequence[Sample], **how: Any) -> dict[str, Any]:
    sink = ListSink()
    with Sli().load(checkpoint, Budget(micro_batch=1, **how)) as teacher:
        teacher.observe(samples, [Tap(path=path) for path in TAPS], sink)
    return {f"{tap}{key}": value for tap in TAPS for key, value in sink.values(tap).items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(each, other[name]) for name, each in one.items())


def products(seen: list[Any]) -> int:
    return sum("mm" in str(each) for each in seen)


def test_only_the_first_forward_is_tracked_inside_a_layer(opened: Opened, inputs: Inputs, tracked: list[Any]) -> None:
    samples = inputs("decoder")
    expected = observed(opened("decoder"), samples, residency="resident")
    assert not tracked
    observed(opened("decoder"), samples[:1], residency="stream")
    alone = products(tracked)
    tracked.clear()
    assert same(observed(opened("decoder"), samples, residency="stream"), expected)
    assert products(tracked) - alone < 4 * (len(samples) - 1) < 4 * 7 * (len(samples) - 1)      # layers x products


def test_a_layer_that_keeps_a_tensor_is_tracked_for_every_forward(
    opened: Opened, inputs: Inputs, tracked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.llama import modeling_llama as llama

    native = llama.LlamaMLP.forward

    def keeping(self: Any, states: Any) -> Any:
        self.kept = states * 2
        return native(self, states)

    samples = inputs("decoder")
    observed(opened("decoder"), samples[:1], residency="stream")
    alone = products(tracked)
    monkeypatch.setattr(llama.LlamaMLP, "forward", keeping)
    tracked.clear()
    observed(opened("decoder"), samples, residency="stream")
    assert products(tracked) >= 0.9 * len(samples) * alone


def test_all_are_tracked_while_states_are_spilled(
    opened: Opened, inputs: Inputs, tracked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = inputs("decoder")
    expected = observed(opened("decoder"), samples, residency="resident")
    observed(opened("decoder"), samples[:1], residency="stream")
    alone = products(tracked)
    tracked.clear()
    monkeypatch.setattr(Observation, "_limit", lambda _: 1)
    monkeypatch.setattr("nexus_engine_sli.memory.spilling.SMALL", 1)
    assert same(observed(opened("decoder"), samples, residency="stream"), expected)
    assert products(tracked) >= 0.9 * len(samples) * alone


def test_what_an_output_holds() -> None:
    one, two = torch.zeros(1), torch.ones(2)
    assert leaves({"a": (one, [two, None]), "b": 3}) == [one, two]
    assert leaves((one, nn.Identity())) is None
    assert Passages(["a.b", "c#0", "d"]).divided == {"a", "c"}


def test_a_place_names_one_storage() -> None:
    one, two = torch.zeros(1), torch.ones(2)
    run = Run(lambda _: None, 0, {})
    run.ledger, entered = Ledger({}), Stop("before", "a", 1)
    known = Passages(["a"])
    known.places["a", 1] = (0, 0)                           # the first forward gave one tensor twice
    known.name(run, entered, Stop("behind", "a", 1, output=(one, one[:1])), quiet=True)
    assert known.places["a", 1] == (0, 0)
    assert not run.wrote
    known.name(run, entered, Stop("behind", "a", 1, output=(one, two)), quiet=True)
    assert known.places["a", 1] is None
    assert run.wrote
