"""Experts that a model multiplies all at once, or reaches for before their module is called: each byte is read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.rooms.ahead import Order
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.teacher import SliTeacher
from nexus_engine_sli.weights import tables, units
from nexus_specs import Budget, Installed, Sample, Tap
from nexus_specs.testing import ListSink


def llama4() -> Any:
    return hf.Llama4ForCausalLM(hf.Llama4TextConfig(
        vocab_size=300, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=64, intermediate_size_mlp=48, num_local_experts=8, interleave_moe_layer_step=1,
        max_position_embeddings=64, attention_chunk_size=32, pad_token_id=0,
    ))  # fmt: skip


def dbrx() -> Any:
    return hf.DbrxForCausalLM(hf.DbrxConfig(
        vocab_size=300, d_model=32, n_heads=4, n_layers=3, max_seq_len=64,
        attn_config={"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 10000.0},
        ffn_config={"ffn_hidden_size": 64, "moe_num_experts": 8, "moe_top_k": 2, "hidden_size": 32},
    ))  # fmt: skip


def observed(folder: Path, samples: Sequence[Sample], memory: int) -> tuple[ListSink, Streamed]:
    installed = Installed()
    checkpoint = installed.make("architecture", "transformers").open(str(folder), installed)
    room, sink = Streamed(checkpoint, "cpu", budget=Budget(memory=memory)), ListSink()
    try:
        SliTeacher(checkpoint, room, Budget(micro_batch=2)).observe(samples, [Tap(path="logits")], sink)
    finally:
        room.close()
    return sink, room


@pytest.mark.parametrize(("build", "memory", "part"), [
    (llama4, 100_000, "model.layers.1.feed_forward.experts#gate_up_proj.2"),
    (dbrx, 440_000, "transformer.blocks.1.ffn.experts.mlp"),
])  # fmt: skip
def test_each_byte_is_read_once(
    build: Callable[[], Any], memory: int, part: str, inputs: Callable[[str], Sequence[Sample]], tokenizer: Any,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(units, "LARGE", 1 << 10)
    monkeypatch.setattr(units, "SMALL", 1 << 8)
    torch.manual_seed(0)
    model = build().float()
    with torch.no_grad():
        for each in model.parameters():
            each.normal_(std=0.05)                          # some are left as memory had them
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    whole, _ = observed(tmp_path, inputs("decoder"), 0)
    parts, room = observed(tmp_path, inputs("decoder"), memory)
    assert part in room.order
    assert len(room.loads) == len(set(room.loads))
    size = sum(each.stat().st_size for each in tmp_path.glob("*.safetensors"))
    assert room.read_bytes <= 1.02 * size, "nothing is read ahead that is read again"
    for key, expected in whole.values("logits").items():
        torch.testing.assert_close(parts.values("logits")[key], expected, rtol=1e-5, atol=1e-6)


def test_behind_a_shared_expert_come_the_next_layers_experts() -> None:
    """Not those of its own layer, which have passed: Llama 4 runs them first."""
    paths = [f"{at}.{name}" for at in range(3) for name in ("experts#0", "shared")]
    order, guessed = Order([*paths, "head"]), []
    for path in paths:
        order.came(path)
        guessed += order.following(path, 1, ()) if path.endswith("shared") else []
    assert guessed == ["2.experts#0", "head"]


def test_what_stays_inside_while_groups_pass_is_counted(
    inputs: Callable[[str], Sequence[Sample]], tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "LARGE", 1 << 10)
    monkeypatch.setattr(units, "SMALL", 1 << 8)
    model = llama4()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    there: list[int] = []
    bring = Streamed._bring_group

    def noted(room: Streamed, unit: units.Unit) -> None:
        bring(room, unit)
        arriving = room.transport.coming                    # type: ignore[attr-defined]
        there.append(
            room.sizes.get(room.inside, 0) + room.sizes[unit.path] + (room.units[arriving[0]].bytes if arriving else 0)
        )

    monkeypatch.setattr(Streamed, "_bring_group", noted)
    _, room = observed(tmp_path, inputs("decoder"), 150_000)
    assert any("experts#" in path for path in room.order)
    assert there
    assert max(there) <= room.passing, "the attention is there while the experts of its layer come"


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("rows", [1, 2])
def test_experts_in_groups_give_the_bits_of_all_at_once_with_two_threads(together: int, rows: int) -> None:
    torch.manual_seed(0)
    inputs, weight = torch.randn(4, rows, 320), torch.randn(4, 320, 640)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        groups = ((first, weight[first : first + together]) for first in range(0, 4, together))
        assert torch.equal(tables.expert_by_expert(inputs, groups), torch.bmm(inputs, weight))
    finally:
        torch.set_num_threads(threads)
