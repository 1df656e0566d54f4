"""A table that is embedding and head is in memory once, from the embedding on, and read once."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.memory import allocating
from nexus_engine_sli.planning.fitting import Fitting
from nexus_engine_sli.planning.layerwise import layerwise
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.weights.placing import bare
from nexus_specs import Blueprint, Budget, Installed

WORDS, WIDTH, LAYERS = 40_000, 64, 3
TABLE, LAYER = WORDS * WIDTH * 4, (4 * WIDTH * WIDTH + 3 * WIDTH * 128 + 2 * WIDTH) * 4
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


@pytest.fixture(params=[True, False], ids=["tied", "apart"])
def checkpoint(request: pytest.FixtureRequest, tokenizer: Any, tmp_path: Path) -> Any:
    config = hf.LlamaConfig(
        vocab_size=WORDS, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=4, num_key_value_heads=4,
        intermediate_size=128, max_position_embeddings=64, tie_word_embeddings=request.param,
    )  # fmt: skip
    hf.LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return Installed().open(str(tmp_path))


def tied(checkpoint: Any) -> bool:
    return checkpoint.blueprint.parameters < 2 * WORDS * WIDTH


def in_a_buffer(room: Streamed, weight: torch.Tensor) -> bool:
    places = [(ctypes.addressof(ctypes.c_char.from_buffer(each)), len(each)) for each in room.reader.buffers.maps]
    return any(start <= weight.data_ptr() < start + size for start, size in places)


def test_the_head_runs_on_what_was_read_for_the_embedding(checkpoint: Any) -> None:
    room = Streamed(checkpoint, "cpu")
    try:
        room.enter("model.embed_tokens")
        head = room.module.get_parameter(HEAD)
        assert in_a_buffer(room, room.module.get_parameter(EMBEDDING))
        assert head.is_meta is not tied(checkpoint)
        for layer in range(LAYERS):
            room.enter(f"model.layers.{layer}")
            assert room.module.get_parameter(EMBEDDING).is_meta
        room.enter("lm_head")
        assert not room.module.get_parameter(HEAD).is_meta
        if tied(checkpoint):
            assert room.module.get_parameter(HEAD).data_ptr() == head.data_ptr()
        assert room.reader.bytes <= 1.01 * checkpoint.blueprint.bytes
    finally:
        room.close()


def test_no_map_of_a_table_lasts_while_layers_pass(checkpoint: Any) -> None:
    room = Streamed(checkpoint, "cpu")
    try:
        room.enter("model.embed_tokens")
        room.enter("model.layers.0")
        room.enter("model.layers.1")
        room.reader.read(room.units["model.layers.2"].part.extents)
        assert (max(map(len, room.reader.buffers.maps)) >= TABLE) is tied(checkpoint)
    finally:
        room.close()


def test_what_comes_after_a_streamed_model_may_grow_as_usual(checkpoint: Any) -> None:
    room = Streamed(checkpoint, "cpu")
    assert allocating._HEAP.grown < allocating.GROWN
    room.close()
    assert allocating._HEAP.grown == allocating.GROWN


def test_what_outlives_a_small_part_of_its_unit_leaves_the_buffer(checkpoint: Any) -> None:
    """Else it would hold all that was read with it."""
    room = Streamed(checkpoint, "cpu")
    try:
        unit = room.units["model.layers.0"]
        norm = "model.layers.0.input_layernorm.weight"
        room.placing.tied = {norm: (norm, "elsewhere.weight")}
        made = room.placing.made(unit.part, room.reader.read(unit.part.extents), unit.path)
        assert [name for name, each in made.items() if not in_a_buffer(room, each)] == [norm]
    finally:
        room.close()


def test_two_tables_never_meet(checkpoint: Any) -> None:
    """The embedding and the head have all layers between them."""
    fitting = Fitting(checkpoint, bare(checkpoint, "cpu", torch.float32), torch.float32)
    passing = fitting.passing(fitting.divided(0).units.values())
    assert passing == TABLE + (2 if tied(checkpoint) else 1) * LAYER
    assert not fitting.passing(fitting.divided(TABLE).units.values()) >= TABLE        # it comes in rows


def test_the_prediction_counts_one_table(checkpoint: Any) -> None:
    blueprint: Blueprint = checkpoint.blueprint
    budget = Budget(precision="float32", micro_batch=1)
    layers = sum(blueprint.stacks[0].layer_bytes)
    bare = replace(blueprint, vocabulary=0, parameters=layers // 4, bytes=layers, outside=())
    with_, without = (layerwise(each, budget, 1.0) for each in (blueprint, bare))
    logits = 2 * WORDS * 4
    assert TABLE - LAYER <= with_ - without <= TABLE + LAYER + logits
