"""The choice of how a checkpoint is held, on blueprints alone; the prediction measured is in test_memory.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.planning import headroom
from nexus_engine_sli.planning.headroom import Free, choose, place, weight_dtype
from nexus_specs import Blueprint, Budget, Stack

GB = 10**9
HALF = Budget(precision="bfloat16")


def model(billions: float, *, bits: int = 16, layers: int = 32, rest: float = 0.05, **more: Any) -> Blueprint:
    """A decoder of so many parameters, 5 % of them in embeddings and head."""
    parameters = round(billions * GB)
    each = round(parameters * (1 - rest)) // layers
    sizes = (each * bits // 8,) * layers
    stack = Stack(
        path="model.layers", count=layers, widths=(4096,) * layers, layer_bytes=sizes, layer_parameters=(each,) * layers
    )
    facts: dict[str, Any] = {
        "family": "llama", "head": "LlamaForCausalLM", "takes": ("text",), "gives": ("text",), "stacks": (stack,),
        "parameters": parameters, "active_parameters": parameters, "bytes": parameters * bits // 8, "dtype": "BF16",
        "vocabulary": 32000, "context": 4096,
    }  # fmt: skip
    return Blueprint(**facts | more)


def test_what_a_scan_computes_with_is_counted_however_it_is_held() -> None:
    budget = replace(HALF, memory=1 << 40, micro_batch=2)
    for residency in ("resident", "offload", "stream"):
        held = replace(budget, residency=residency)
        plain, scanning = (choose(model(1, scanned=each, chunk=300), held, tokens=500) for each in (0, 2048 * 16))
        assert scanning.memory - plain.memory == 2 * 600 * 3 * 2048 * 16 * 4


def chosen(blueprint: Blueprint, memory: float, **budget: Any) -> str:
    way = choose(blueprint, replace(HALF, memory=round(memory * GB), **budget))
    return f"{way.residency} {way.quantise}".strip()


@pytest.mark.parametrize(
    ("memory", "budget", "expected"),
    [
        (20, {}, "resident"),
        (12, {}, "stream"),
        (12, {"quantise": "auto"}, "resident int8"),
        (7, {"quantise": "auto"}, "resident nf4"),
        (4, {"quantise": "auto"}, "stream"),
        (40, {"quantise": "nf4"}, "resident nf4"),
        (40, {"residency": "stream"}, "stream"),
        (40, {"residency": "offload"}, "offload"),
        (4, {"residency": "resident"}, "resident"),
        (4, {"residency": "resident", "quantise": "auto"}, "resident nf4"),
        (40, {"precision": "float32"}, "resident"),
        (20, {"precision": "float32"}, "offload"),
    ],
)
def test_a_model_of_seven_billion_in_sixteen_bits(memory: float, budget: dict[str, Any], expected: str) -> None:
    assert chosen(model(7), memory, **budget) == expected


def test_more_than_sixty_billion_streams_unless_told_otherwise() -> None:
    assert chosen(model(70), 1000) == "stream"
    assert chosen(model(59), 1000) == "resident"
    assert chosen(model(70), 1000, residency="resident") == "resident"
    assert "70 B parameters are more than 60 B" in Sli().estimate(model(70), 1, 0, replace(HALF, memory=GB)).how


def test_a_packed_checkpoint_is_offloaded_where_it_fits_packed() -> None:
    packed = model(14, bits=4, quantisation="gptq")
    assert chosen(packed, 40) == "resident"
    assert chosen(packed, 16) == "offload", "in memory as stored, a layer unpacked when it runs"


def test_a_device_holds_what_runs_and_the_memory_beside_it_the_rest() -> None:
    budget = replace(HALF, device="cuda")
    for device, host, expected in ((24, 64, "resident"), (8, 64, "offload"), (8, 10, "stream")):
        assert choose(model(7), budget, Free(device * GB, host * GB)).residency == expected


def test_it_says_how_and_why() -> None:
    how = Sli().estimate(model(7), 10, 0, replace(HALF, memory=20 * GB)).how
    assert how == "resident: everything in memory, 14.1 GB of 20.0 GB, in bfloat16"
    how = Sli().estimate(model(7), 10, 0, replace(HALF, memory=12 * GB)).how
    assert how.startswith("stream: layer by layer, ")
    assert how.endswith("of 12.0 GB, in bfloat16; resident would take 14.1 GB")
    how = Sli().estimate(model(7), 10, 0, replace(HALF, memory=7 * GB, quantise="auto")).how
    assert "resident nf4: " in how
    assert "layers in nf4, the rest in bfloat16" in how
    how = Sli().estimate(model(7), 10, 0, replace(HALF, memory=GB // 10)).how
    assert how.endswith("of 100 MB, in bfloat16; layers are run in parts, if these fit")
    how = Sli().estimate(model(7), 10, 0, replace(HALF, memory=GB // 10, residency="resident")).how
    assert how.endswith("it does not fit, and nothing that is allowed does")


def test_weights_stay_in_sixteen_bits_where_nothing_is_lost_by_it() -> None:
    narrow, wide, packed = model(1), model(1, bits=32, dtype="F32"), model(1, bits=4, quantisation="awq")
    assert weight_dtype(narrow, Budget(precision="float32")) is torch.float32
    assert weight_dtype(narrow, HALF) is torch.bfloat16
    assert weight_dtype(packed, HALF) is torch.bfloat16
    assert weight_dtype(wide, HALF) is torch.float32, "float32 teachers stay as they are"
    assert weight_dtype(model(0.02), HALF) is torch.float32, "and small ones have room"
    assert weight_dtype(wide, replace(HALF, quantise="nf4")) is torch.bfloat16


def test_what_is_open_is_settled_and_what_is_not_stays() -> None:
    budget = replace(HALF, memory=6 * GB, quantise="auto", micro_batch=0)
    settled = Sli().place(model(7), budget)
    assert (settled.residency, settled.quantise, settled.micro_batch) == ("resident", "nf4", 4)
    assert Sli().place(model(7), budget, tokens=256).micro_batch == 8, "short texts"
    assert Sli().place(model(7), budget, tokens=4096).micro_batch == 2, "long ones"
    assert place(model(7), settled) == settled
    asked = replace(budget, quantise="int8", residency="stream", micro_batch=3)
    assert place(model(7), asked) == asked
    small = place(model(7, vocabulary=256_000), replace(budget, memory=2 * GB))
    assert small.micro_batch < 8, "a quarter of the memory is for what a batch makes"


def test_no_limit_named_means_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headroom, "free_memory", lambda: 20 * GB)
    assert Free.of(Budget()) == Free(16 * GB, 16 * GB)
    assert choose(model(7), HALF).residency == "resident"
    monkeypatch.setattr(headroom, "free_memory", lambda: 10 * GB)
    assert choose(model(7), HALF).residency == "stream"


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_what_is_no_weight_stays_in_memory(residency: Any) -> None:
    budget = replace(HALF, residency=residency)
    ways = [Sli().estimate(model(1, buffers=more), 4, 0, budget).memory for more in (0, 200_000_000)]
    assert ways[1] - ways[0] == 200_000_000
