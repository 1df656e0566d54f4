"""Costs from a blueprint alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nexus_engine_sli.costs import operations
from nexus_engine_sli.engine import Sli
from nexus_specs import Blueprint, Budget, Stack

GB = 10**9
FAST = Budget(precision="bfloat16", threads=8, gigaflops=100.0, read_rate=2e9, memory=16 * GB, residency="stream")


def model(layers: int, each: int, *, active: float = 1.0, quantisation: str = "", width: int = 8192) -> Blueprint:
    """Of equal layers, without embeddings."""
    bytes_of = 1 if quantisation else 2
    stack = Stack(
        path="layers", count=layers, widths=(width,) * layers, layer_bytes=(each * bytes_of,) * layers,
        layer_parameters=(each,) * layers,
    )  # fmt: skip
    total = layers * each
    return Blueprint(
        family="x", head="X", takes=("text",), gives=("text",), stacks=(stack,), parameters=total,
        active_parameters=round(total * active), bytes=total * bytes_of, dtype="BF16", quantisation=quantisation,
        context=4096,
    )  # fmt: skip


SEVENTY = model(80, 880_000_000)


def test_reading_once_and_computing_once_is_the_limit() -> None:
    few, many = (Sli().estimate(SEVENTY, samples, 0, FAST) for samples in (1, 1000))
    assert few.read == many.read == SEVENTY.bytes
    assert few.seconds == pytest.approx(SEVENTY.bytes / 2e9, rel=0.05), "one sample: the disk"
    arithmetic = operations(SEVENTY, 256_000) / (100e9 * 0.8 * (1 + 0.92 * 7))
    assert many.seconds == pytest.approx(arithmetic, rel=0.02), "many: the processor"
    assert many.passes == 1


def test_experts_cost_what_a_token_meets_and_read_all() -> None:
    sparse = model(60, 11 * GB, active=0.055, quantisation="fp8")
    dense = replace(sparse, active_parameters=sparse.parameters)
    assert Sli().estimate(sparse, 10_000, 0, FAST).seconds < 0.2 * Sli().estimate(dense, 10_000, 0, FAST).seconds
    assert Sli().estimate(sparse, 1, 0, FAST).read == 660 * GB


@pytest.mark.parametrize("memory", [4 * GB, 16 * GB])
def test_memory_stays_within_what_there_is(memory: int) -> None:
    for blueprint in (SEVENTY, model(60, 11 * GB, active=0.055, quantisation="fp8")):
        found = Sli().estimate(blueprint, 1000, 0, replace(FAST, memory=memory))
        assert found.memory <= memory
        states = 1000 * 256 * 8192 * 2
        assert found.disk <= states
        assert Sli().estimate(blueprint, 100_000, 0, replace(FAST, memory=memory)).disk > 50 * states


def test_ablations_cost_half_a_pass_each() -> None:
    plain, edited = (Sli().estimate(SEVENTY, 1000, edits, FAST).seconds for edits in (0, 80))
    assert edited == pytest.approx(41 * plain, rel=0.05)
