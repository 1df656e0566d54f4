"""Weights that AutoGPTQ, AutoAWQ and compressed-tensors packed and unpacked: ours are the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import NexusError
from nexus_torch.hugging_face.weights.packed import Packing
from safetensors import safe_open
from torch import Tensor

FILE = Path(__file__).parent / "packed_by_others" / "values.safetensors"
with safe_open(FILE, "pt") as _opened:
    CASES: dict[str, dict[str, Any]] = {name: json.loads(said) for name, said in (_opened.metadata() or {}).items()}
ROWS = 4
"""Of so many rows the file holds one."""
INEXACT = {"compressed-nvfp4": 2**-7}
"""The library computes these in bfloat16."""


def stored(name: str) -> tuple[dict[str, Tensor], Tensor]:
    """The tensors of a case under a layer's name, and the expected rows."""
    with safe_open(FILE, "pt") as file:
        found = {key.partition("/")[2]: file.get_tensor(key) for key in file.keys() if key.startswith(f"{name}/")}  # noqa: SIM118
    return {f"layer.{key}": each for key, each in found.items() if key != "expected"}, found["expected"]


def test_every_way_of_packing_is_there() -> None:
    assert sum(name.startswith("gptq") for name in CASES) == 16, "four bits, two symmetries, two orders"
    assert {said["quant_method"] for said in CASES.values()} == {"gptq", "awq", "compressed-tensors"}
    assert len({said.get("format") for said in CASES.values() if "format" in said}) == 5


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_numbers_are_those_of_the_library_that_packed(name: str) -> None:
    raw, expected = stored(name)
    found = Packing.of(CASES[name], raw).unpack(raw)
    assert list(found) == ["layer.weight"]
    torch.testing.assert_close(found["layer.weight"][::ROWS], expected, rtol=INEXACT.get(name, 0), atol=0)


@pytest.mark.parametrize("name", sorted(name for name in CASES if name.startswith("gptq")))
def test_the_second_format_of_gptq_stores_zeros_as_they_are(name: str) -> None:
    """Every field of the zeros one larger, as GPTQModel writes them: no field of these overflows."""
    raw, expected = stored(name)
    bits = CASES[name]["bits"]
    ones = sum(1 << place for place in range(0, raw["layer.qzeros"].shape[1] * 32, bits))
    rows = [sum((word % 2**32) << (32 * at) for at, word in enumerate(row)) + ones
            for row in raw["layer.qzeros"].tolist()]  # fmt: skip
    words = [[(row >> 32 * at) % 2**32 for at in range(raw["layer.qzeros"].shape[1])] for row in rows]
    raw["layer.qzeros"] = torch.tensor(words, dtype=torch.int64).int()
    settings = CASES[name] | {"checkpoint_format": "gptq_v2"}
    assert torch.equal(Packing.of(settings, raw).unpack(raw)["layer.weight"][::ROWS], expected)


@pytest.mark.parametrize("name", ["gptq-3-asymmetric", "gptq-8-symmetric-ordered", "compressed-int8-packed"])
def test_a_layer_with_other_bits_than_the_rest_is_read_by_its_shapes(name: str) -> None:
    """GPTQModel's "dynamic" and several groups of compressed-tensors: the configuration's first bits are of others."""
    raw, expected = stored(name)
    said = CASES[name]
    others = {"o": {"weights": {"num_bits": 4, "type": "int"}}, **said.get("config_groups", {})}
    settings = said | ({"bits": 4} if said["quant_method"] == "gptq" else {"config_groups": others})
    assert torch.equal(Packing.of(settings, raw).unpack(raw)["layer.weight"][::ROWS], expected)


@pytest.mark.parametrize("name", ["gptq-4-symmetric", "awq-32"])
def test_a_layer_with_groups_of_its_own_is_read_by_its_scales(name: str) -> None:
    """GPTQModel's "dynamic" again, of files without an order of the inputs."""
    raw, expected = stored(name)
    raw.pop("layer.g_idx", None)
    settings = CASES[name] | {"group_size": 8, "dynamic": {"+:layer": {"group_size": CASES[name]["group_size"]}}}
    assert torch.equal(Packing.of(settings, raw).unpack(raw)["layer.weight"][::ROWS], expected)
    with pytest.raises(NexusError, match="rows of scales"):
        Packing.of(settings | {"dynamic": {}}, raw).unpack(raw)["layer.weight"]
