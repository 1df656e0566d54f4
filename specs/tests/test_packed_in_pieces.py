"""Packed weights that are unpacked some values at a time, into the dtype in which they stay: the same to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nexus_specs import NexusError
from nexus_torch.hugging_face.weights.packed import Packing
from torch import Tensor

bitsandbytes = pytest.importorskip("bitsandbytes")
AT_ONCE = "nexus_torch.hugging_face.weights.packed.layout.AT_ONCE"


def drawn(*shape: int) -> Tensor:
    return torch.randint(-(2**31), 2**31, shape, dtype=torch.int64).int()


def in_bytes(*shape: int) -> Tensor:
    return torch.randint(-128, 128, shape, dtype=torch.int8)


def in_layouts() -> dict[str, tuple[dict[str, Tensor], dict[str, Any]]]:
    """Weights of more than one piece [96, 128] by how they are packed: what is stored, and the settings."""
    torch.manual_seed(0)
    rows, groups, floats = torch.rand(96, 1), torch.rand(96, 4), torch.randn(96, 128).to(torch.float8_e4m3fn)
    nf4, state = bitsandbytes.functional.quantize_4bit(torch.randn(96, 128), blocksize=64, quant_type="nf4")
    eight, sizes, _ = bitsandbytes.functional.int8_vectorwise_quant(torch.randn(96, 128).half())
    tables = {"qzeros": drawn(4, 12), "scales": groups.T.half()}
    compressed: dict[str, Any] = {"quant_method": "compressed-tensors"}
    return {
        "gptq": ({"qweight": drawn(16, 96), **tables}, {"quant_method": "gptq", "bits": 4, "group_size": 32}),
        "awq": ({"qweight": drawn(128, 12), **tables}, {"quant_method": "awq", "bits": 4, "group_size": 32}),
        "packed": ({"weight_packed": drawn(96, 16), "weight_scale": groups}, compressed),
        "plain": ({"weight": in_bytes(96, 128), "weight_scale": rows}, compressed),
        "one scale": ({"weight": floats, "weight_scale": rows[0]}, compressed),
        "nf4": ({"weight": nf4, **{f"weight.{key}": each for key, each in state.as_dict(packed=True).items()}},
                {"quant_method": "bitsandbytes"}),
        "int8": ({"weight": eight, "SCB": sizes}, {"quant_method": "bitsandbytes"}),
        "nvfp4": ({"weight": in_bytes(96, 64).view(torch.uint8), "weight_scale": torch.rand(96, 8),
                   "weight_scale_2": rows[0]}, {"quant_method": "modelopt"}),
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(in_layouts()))
def test_pieces_of_a_weight_are_rounded_as_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, given = in_layouts()[name]
    raw = {f"layer.{key}": each for key, each in stored.items()}
    monkeypatch.setattr(AT_ONCE, 1024)
    found = Packing.of(given, raw, torch.bfloat16).unpack(raw)["layer.weight"]
    monkeypatch.setattr(AT_ONCE, 1 << 20)
    whole = Packing.of(given, raw).unpack(raw)["layer.weight"]
    assert whole.shape == (96, 128)
    assert torch.equal(found, whole.bfloat16())
    assert whole.abs().sum() > 0


def test_experts_in_one_matrix_of_four_bits_are_refused() -> None:
    """Their scales would be taken for those of others."""
    raw = {"layer.weight_packed": torch.zeros(3, 8, 4, dtype=torch.uint8), "layer.weight_scale": torch.rand(3, 8, 1),
           "layer.weight_global_scale": torch.ones(1)}  # fmt: skip
    with pytest.raises(NexusError, match=r"'layer\.weight' has the shape \(3, 8, 4\)"):
        Packing.of({"quant_method": "compressed-tensors"}, raw).unpack(raw)["layer.weight"]


def test_weights_of_nothing_and_of_one_number() -> None:
    raw = {"layer.qweight": drawn(0, 8), "layer.qzeros": drawn(1, 1), "layer.scales": torch.rand(1, 8)}
    with pytest.raises(NexusError, match=r"'layer\.weight' is not packed as 'gptq' packs one"):
        Packing.of({"quant_method": "gptq", "group_size": -1}, raw).unpack(raw)["layer.weight"]
    one = {"layer.weight": torch.tensor(1.5).to(torch.float8_e4m3fn), "layer.weight_scale": torch.tensor([2.0])}
    assert Packing.of({"quant_method": "fp8"}, one).unpack(one)["layer.weight"] == 3
