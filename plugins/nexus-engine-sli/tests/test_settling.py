"""What follows from the memory: how many samples pass together, and how little of a layer of experts is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.teacher import SliTeacher
from nexus_specs import Budget, Checkpoint, Installed, Sample, Tap
from nexus_specs.testing import ListSink

Opened, Inputs = Callable[[str], Checkpoint], Callable[[str], Sequence[Sample]]
MOE = {
    "vocab_size": 300, "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
    "moe_intermediate_size": 128, "num_experts": 16, "num_experts_per_tok": 2, "head_dim": 16, "num_hidden_layers": 2,
    "max_position_embeddings": 64,
}  # fmt: skip
LAYER, MEMORY = 16 * 3 * 128 * 128 * 4, 2_000_000
"""Bytes of the experts of one layer, and of all that may be there."""


@pytest.mark.parametrize(("memory", "expected"), [(4 * 32_300_000, 1), (4 * 33_600_000, 4), (1 << 30, 8)])
def test_samples_pass_together_as_the_memory_allows(
    memory: int, expected: int, opened: Opened, inputs: Inputs
) -> None:
    checkpoint, sizes = opened("decoder"), []
    collate = checkpoint.collate
    checkpoint.collate = lambda samples: (sizes.append(len(samples)), collate(samples))[1]  # type: ignore[method-assign]
    samples = [Sample(key=f"{at:064x}", fields=each.fields) for at, each in enumerate(list(inputs("decoder")) * 2)]
    with Sli().load(checkpoint, Budget(micro_batch=0, memory=memory, residency="stream")) as teacher:
        teacher.observe(samples, [Tap(path="final")], ListSink())
    assert max(sizes) == expected


def test_a_layer_of_experts_that_does_not_fit_is_never_there_whole(
    inputs: Inputs, tokenizer: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    hf.Qwen3MoeForCausalLM(hf.Qwen3MoeConfig(**MOE)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    installed = Installed()
    checkpoint = installed.make("architecture", "transformers").open(str(tmp_path), installed)
    most: list[int] = []
    for memory in (MEMORY, 1 << 30):
        budget = Budget(micro_batch=2, memory=memory)
        room, there = Streamed(checkpoint, "cpu", budget=budget), []
        passed = room.passed

        def looked(path: str, output: object, room: Any = room, there: Any = there, passed: Any = passed) -> None:
            there.append(sum(len(each) for each in room.reader.buffers.maps))
            passed(path, output)

        room.passed = looked  # type: ignore[method-assign]
        try:
            SliTeacher(checkpoint, room, budget).observe(inputs("decoder"), [Tap(path="final")], ListSink())
        finally:
            room.close()
        assert len(room.loads) == len(set(room.loads)), "each group once"
        most.append(max(there))
    assert most[0] <= MEMORY < LAYER < most[1]
