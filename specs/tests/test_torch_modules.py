"""Stacks, skeletons and padding, on modules of our own."""

from __future__ import annotations

import pytest
import torch
from nexus_specs import NexusError
from nexus_torch.padding import Collated, mask_of, pad, to_device, unpad
from nexus_torch.skeleton import absent, empty, fill, holders, put, without_weights
from nexus_torch.stacks import owner, stacks
from torch import nn


class GradientCheckpointingLayer(nn.Linear):
    """By its name a repeated layer, as transformers' is."""


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])


class Net(nn.Module):
    def __init__(self, layer: type[nn.Module] = Block) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 2)
        self.layers = nn.ModuleList([layer() for _ in range(3)])
        self.extra = nn.ModuleList([nn.Linear(2, 2), nn.LayerNorm(2)])
        self.head = nn.Linear(2, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("clock", torch.arange(3.0))


class Marked(Net):
    _no_split_modules = ("Block",)


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Net(lambda: GradientCheckpointingLayer(2, 2))  # type: ignore[arg-type]
        self.decoder = Net()


def test_stacks_are_found_by_three_signs() -> None:
    expected = {"layers": ("layers.0", "layers.1", "layers.2")}
    assert stacks(Net()) == expected, "children of one class; lists inside layers are no stacks"
    assert stacks(Marked()) == expected
    assert set(stacks(Two())) == {"encoder.layers", "decoder.layers"}, "the surest sign, and blocks beside"
    assert stacks(nn.Linear(2, 2)) == {}


def test_a_parameter_belongs_to_its_layer() -> None:
    layers = frozenset({"layers.1", "layers.10"})
    assert owner("layers.10.parts.0.weight", layers) == "layers.10"
    assert owner("embed.weight", layers) == ""


def test_a_skeleton_has_buffers_but_no_weights() -> None:
    with without_weights():
        module = Net()
    assert {str(each.device) for each in module.parameters()} == {"meta"}
    assert module.clock.tolist() == [0, 1, 2]
    assert module.head.weight is module.embed.weight
    assert not next(Net().parameters()).is_meta, "only inside"


def test_weights_go_in_and_out_again() -> None:
    full = Net()
    with without_weights():
        module = Net()
    tied = holders(module)
    assert set(tied["head.weight"]) == {"embed.weight", "head.weight"}
    fill(module, {name: each.detach() for name, each in full.named_parameters()}, tied)
    assert not absent(module)
    assert torch.equal(module.head.weight, full.embed.weight)
    put(module, "clock", torch.zeros(3))
    assert module.clock.sum() == 0
    empty(module, ["layers.1.parts.0.weight"])
    assert absent(module) == ["layers.1.parts.0.weight"]
    gone = module.layers[1].parts[0]
    assert gone.weight.shape == (2, 2)
    assert repr(gone)
    with pytest.raises(NexusError, match=r"layers\.1\.parts\.0\.weight.*not loaded"):
        gone(torch.ones(1, 2))
    fill(module, {"layers.1.parts.0.weight": torch.ones(2, 2)}, tied)
    assert gone(torch.ones(1, 2)).shape == (1, 2)


@pytest.mark.parametrize("name", ["head.weight", "head.bias"])
def test_weights_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(NexusError, match="shape"):
        put(Net(), name, torch.zeros(7, 7))


def test_padding_comes_off_again() -> None:
    rows = [torch.arange(3), torch.arange(5)]
    padded, mask = pad(rows, 9), mask_of([3, 5])
    assert padded.tolist() == [[0, 1, 2, 9, 9], [0, 1, 2, 3, 4]]
    assert all(torch.equal(one, other) for one, other in zip(unpad(padded, mask), rows, strict=True))
    assert len(unpad(torch.zeros(2, 7), mask)) == 2, "another length: as it is"
    assert pad([]).shape == (0, 0)


def test_a_batch_is_the_arguments_of_a_forward() -> None:
    batch = Collated({"x": torch.ones(1)}, spans=1)
    assert batch.side == {"spans": 1}
    assert dict(**batch).keys() == {"x"}
    assert to_device({"x": torch.ones(1), "n": 1}, "cpu")["n"] == 1
