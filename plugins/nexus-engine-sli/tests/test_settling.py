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
from torch.utils._python_dispatch import TorchDispatchMode

Opened, Inputs = Callable[[str], Checkpoint], Callable[[str], Sequence[Sample]]
MOE = {
    "vocab_size": 300, "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
    "moe_intermediate_size": 128, "num_experts": 16, "num_experts_per_tok": 2, "head_dim": 16, "num_hidden_layers": 2,
    "max_position_embeddings": 64,
}  # fmt: skip
LAYER, MEMORY = 16 * 3 * 128 * 128 * 4, 2_000_000
"""Bytes of the experts of one layer, and of all that may be there."""


@pytest.mark.parametrize(("memory", "expected"), [(4 * 32_300_000, 1), (4 * 32_900_000, 4), (1 << 30, 8)])
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


class Copies(TorchDispatchMode):
    """Batched products in which a weight stands once for each row: what torch makes a copy of, in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bmm.default:
            self.found += [tuple(each.shape) for each in args if each.stride(0) == 0 and len(each) > 1]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_a_weight_is_not_copied_for_each_token_of_a_state_that_lies_turned(residency: Any, tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    hf.SiglipVisionModel(hf.SiglipVisionConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    hf.SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    picture = torch.zeros(32, 32, 3, dtype=torch.uint8).numpy()
    samples = [Sample(key=f"{at:064x}", fields={"image": picture}) for at in range(2)]
    budget = Budget(residency=residency, memory=1 << 30, micro_batch=2)
    with Sli().load(Installed().open(str(tmp_path)), budget) as teacher, Copies() as copies:
        teacher.observe(samples, [Tap(path="output")], ListSink())
    assert not copies.found
