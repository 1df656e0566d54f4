"""Schedule, sampler, optimiser, labels, anchors, dropout."""

from __future__ import annotations

import doctest
from collections import Counter

import nexus_train.anchors
import nexus_train.sampler
import nexus_train.schedule
import pytest
import torch
from nexus_specs import Blueprint, LayerProfile, NexusError, Profile, Sample, Signal, Stack
from nexus_train.anchors import anchors
from nexus_train.curve import Curve
from nexus_train.devices import placed, placed_signal
from nexus_train.dropout import dropout
from nexus_train.labels import class_index
from nexus_train.lessons import checked
from nexus_train.muon import Muon, orthogonal
from nexus_train.optimizer import Optimizer, partition
from nexus_train.options import TrainOptions
from nexus_train.sampler import Sampler, turns
from nexus_train.schedule import share
from torch import nn


@pytest.mark.parametrize("module", [nexus_train.anchors, nexus_train.sampler, nexus_train.schedule])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0


def test_schedule_rises_stays_and_falls_to_nothing() -> None:
    rates = [share(step, 100, 0.1, 0.4) for step in range(101)]
    assert rates[9:61] == [1.0] * 52
    assert rates[:9] == sorted(rates[:9])
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert rates[100] == 0.0
    assert share(99, 100, 0.0, 0.0) == 1.0


def test_sampler_gives_every_sample_once_an_epoch_and_brings_lengths_together() -> None:
    keys, lengths = [f"key {at}" for at in range(203)], [at % 37 for at in range(203)]
    sampler = Sampler(keys, lengths, 4, seed=1)
    first, second = ([sampler.positions(number) for number in range(at, at + 50)] for at in (0, 50))
    for batches in (first, second):
        assert max(Counter(at for batch in batches for at in batch).values()) == 1
    assert first != second
    spread = [max(lengths[at] for at in batch) - min(lengths[at] for at in batch) for batch in first]
    assert sum(spread) / len(spread) < 6
    assert Sampler(keys, lengths, 4, seed=1).positions(77) == sampler.positions(77)
    assert Sampler(keys, lengths, 4, seed=2).positions(77) != sampler.positions(77)
    assert sorted(Sampler(keys[:3], lengths[:3], 8, seed=0).positions(5)) == [0, 1, 2]


def test_turns_keep_the_proportion() -> None:
    for balance, expected in ((1.0, 75), (0.0, 50), (0.5, 63)):
        order = turns([300, 100], 100, balance)
        assert Counter(turn for turn, _ in order)[0] == expected
        assert [count for turn, count in order if turn == 1] == list(range(100 - expected))


def test_muon_is_torchs() -> None:
    torch.manual_seed(0)
    shapes = [(8, 8), (8, 8), (24, 8), (8, 24), (5, 3)]
    mine = {str(at): nn.Parameter(torch.randn(shape)) for at, shape in enumerate(shapes)}
    theirs = [nn.Parameter(each.detach().clone()) for each in mine.values()]
    idle = nn.Parameter(torch.ones(8, 8))
    muon = Muon({**mine, "idle": idle}, weight_decay=0.1, dtype=torch.bfloat16)
    reference = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    for _ in range(3):
        for a, b in zip(mine.values(), theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        muon.step(0.02)
        reference.step()
    for a, b in zip(mine.values(), theirs, strict=True):
        torch.testing.assert_close(a, b, atol=3e-3, rtol=0)
    assert torch.equal(idle, torch.ones(8, 8)), "what had no gradient stays"


def test_orthogonal_makes_singular_values_alike() -> None:
    torch.manual_seed(0)
    for shape in ((3, 6, 9), (3, 9, 6)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.min() > 0.4
        assert values.max() < 1.4


def test_partition_leaves_tokens_classes_and_vectors_to_adamw() -> None:
    named = {
        "layers.0.weight": (4, 4), "layers.0.bias": (4,), "embed_tokens.weight": (9, 4), "classifier.weight": (3, 4),
        "vocabularies.a.embedding": (9, 4), "own.latents": (4, 4), "towers.a.lora.q.A": (2, 4),
        "loss.t.0.heads.0.weight": (3, 4), "narrow": (1, 4),
    }  # fmt: skip
    inner, outer = partition((name, nn.Parameter(torch.zeros(shape))) for name, shape in named.items())
    assert set(inner) == {"layers.0.weight", "towers.a.lora.q.A"}
    assert len(outer) == 7


@pytest.mark.parametrize("names", [("w", "embed"), ("w",), ("embed",)])
def test_optimizer_state_goes_to_another(names: tuple[str, ...]) -> None:
    def made() -> tuple[dict[str, nn.Parameter], Optimizer]:
        torch.manual_seed(0)
        named = {name: nn.Parameter(torch.randn(4, 4)) for name in names}
        return named, Optimizer(named, TrainOptions(steps=9, clip=0.0), torch.float32)

    def update(named: dict[str, nn.Parameter], optimizer: Optimizer, step: int) -> None:
        for each in named.values():
            each.grad = torch.full_like(each, 0.1 * step) + torch.eye(4)
        optimizer.step(step)

    (first, one), (second, two) = made(), made()
    update(first, one, 0)
    two.load({name: value.clone() for name, value in one.state().items()})
    for name, each in second.items():
        each.data.copy_(first[name])
    for named, optimizer in ((first, one), (second, two)):
        update(named, optimizer, 1)
    assert all(torch.equal(first[name], second[name]) for name in names)


def test_labels() -> None:
    def labelled(label: object) -> Sample:
        return Sample(key="k", fields={} if label is None else {"label": label})

    assert [class_index(labelled(label), ("cat", "dog")) for label in ("dog", 0, None)] == [1, 0, -100]
    assert class_index(labelled(7), ()) == 7
    assert class_index(labelled(-1), ("cat", "dog")) == -100, "as metrics take it"
    with pytest.raises(NexusError, match="outside 0 to 1"):
        class_index(labelled(-2), ("cat", "dog"))
    with pytest.raises(NexusError, match="Its classes: cat, dog"):
        class_index(labelled("cow"), ("cat", "dog"))
    with pytest.raises(NexusError, match="outside 0 to 1"):
        class_index(labelled(2), ("cat", "dog"))


def stacked(path: str, count: int) -> Blueprint:
    stacks = () if not count else (Stack(path=path, count=count, widths=(4,) * count, layer_bytes=(1,) * count),)
    return Blueprint(
        family="toy",
        head="Toy",
        takes=(),
        gives=(),
        stacks=stacks,
        parameters=1,
        active_parameters=1,
        bytes=1,
        dtype="F32",
    )


def test_anchors_stand_at_the_same_depth() -> None:
    layers = tuple(LayerProfile(path=f"t.{at}", importance=1, low=0, high=1, critical=at in (1, 4)) for at in range(5))
    bases = {layer.path: "x" for layer in layers}
    profile = Profile(teacher="t", capability="c", blueprint=stacked("t", 5), layers=layers, bases=bases)
    assert anchors(profile, stacked("s", 4)) == (("t.1", "s.1"), ("t.4", "s.3"))
    assert anchors(profile, stacked("s", 0)) == ()
    calm = tuple(LayerProfile(path=name, importance=0, low=0, high=0) for name in ("t.0", "elsewhere"))
    known = {"t.0": "x", "elsewhere": "x"}
    profile = Profile(teacher="t", capability="c", blueprint=stacked("t", 5), layers=calm, bases=known)
    assert anchors(profile, stacked("s", 2)) == (("t.0", "s.0"), ("elsewhere", "s.1"))


class Doubling(nn.Module):
    def forward(self, *, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states + 1


def test_dropout_is_of_what_a_layer_adds() -> None:
    class Some:
        blueprint = stacked("layers", 1)
        module = nn.ModuleDict({"layers": nn.ModuleList([Doubling()])})

    layer, hidden = Some.module["layers"][0], torch.zeros(1000)
    with dropout([Some(), Some()], 0.5):
        values = layer(hidden_states=hidden)
        assert set(values.tolist()) == {0.0, 2.0}
        assert set(layer.eval()(hidden_states=hidden).tolist()) == {1.0}
    assert set(layer.train()(hidden_states=hidden).tolist()) == {1.0}


def test_curve_means_and_its_table() -> None:
    curve = Curve(100)
    for step in range(100):
        curve.add(step, {"loss": float(step)})
    assert curve.points[0] == {"step": 2, "loss": 0.5}
    assert len(curve.points) == 50
    assert curve.table("x")["rows"][-1] == [100, 98.5]
    assert Curve(10).table("x")["rows"] == []


def test_batches_and_signals_move() -> None:
    batch = placed({"x": torch.ones(1), "name": "a"}, "meta")
    assert batch["x"].device.type == "meta"
    assert batch["name"] == "a"
    signal = placed_signal(Signal(tokens=torch.ones(1), states={"a": torch.ones(1)}), "meta")
    assert signal.states["a"].device.type == signal.tokens.device.type == "meta"


def test_a_gradient_that_is_not_finite_reaches_no_weight() -> None:
    weight = nn.Parameter(torch.ones(3, 3))
    optimizer = Optimizer({"body": weight}, TrainOptions(steps=4, clip=0.0), torch.float32)
    weight.grad = torch.full((3, 3), float("nan"))
    assert not optimizer.step(0)
    assert torch.equal(weight, torch.ones(3, 3))
    weight.grad = torch.ones(3, 3)
    assert optimizer.step(1)


@pytest.mark.parametrize("label", [2.5, [1], -3])
def test_a_label_that_is_no_class_is_named(label: object) -> None:
    with pytest.raises(NexusError, match="label"):
        class_index(Sample(key="a", fields={"label": label}), ())
    assert class_index(Sample(key="a", fields={"label": float("nan")}), ()) == -100
    assert class_index(Sample(key="a", fields={"label": 3.0}), ()) == 3


@pytest.mark.parametrize(
    "value",
    [torch.zeros(3, 1), torch.zeros(3, 3), torch.zeros(()), torch.zeros(2), torch.zeros(3).long(), 0.5, None],
)
def test_a_loss_gives_one_float_a_sample(value: object) -> None:
    assert checked(torch.zeros(3), "mine", 3).shape == (3,)
    with pytest.raises(NexusError, match=r"The loss 'mine' gave .* a tensor \[3\]"):
        checked(value, "mine", 3)
