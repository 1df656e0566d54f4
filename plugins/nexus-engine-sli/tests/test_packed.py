"""Packed experts: they come in groups where a layer of them is too large, and norms do not hold what was packed."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.memory import buffers
from nexus_engine_sli.planning.pieces import making
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_specs import Budget, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink
from safetensors.torch import save_file
from torch import Tensor

BLOCK, EXPERTS = 32, 8
SHAPE: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "num_experts_per_tok": 2, "max_position_embeddings": 128, "tie_word_embeddings": False,
}  # fmt: skip
PACKED: dict[str, dict[str, Any]] = {
    "fp8": {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK], "activation_scheme": "dynamic"},
    "mxfp4": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.embed_tokens", "lm_head", "self_attn"]},
}


def eight_bits(name: str, rows: int, columns: int) -> dict[str, Tensor]:
    scales = torch.rand(rows // BLOCK, columns // BLOCK) / 20
    return {f"{name}.weight": torch.randn(rows, columns).to(torch.float8_e4m3fn), f"{name}.weight_scale_inv": scales}


def four_bits(name: str, experts: int, inputs: int, outputs: int) -> dict[str, Tensor]:
    blocks = torch.randint(256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
    return {f"{name}_blocks": blocks, f"{name}_scales": torch.randint(117, 121, blocks.shape[:-1], dtype=torch.uint8)}


def stored(model: Any, how: str) -> dict[str, Tensor]:
    """The tensors of the file."""
    found: dict[str, Tensor] = {}
    for name, weight in model.state_dict().items():
        stem = name.rpartition(".")[0]
        if how == "mxfp4" and name.endswith(("gate_up_proj", "down_proj")):
            found |= four_bits(name, *weight.shape)
        elif how == "fp8" and name.endswith("experts.gate_up_proj"):
            for number in range(EXPERTS):
                for half in ("gate_proj", "up_proj"):
                    found |= eight_bits(f"{stem}.{number}.{half}", weight.shape[1] // 2, weight.shape[2])
        elif how == "fp8" and name.endswith("experts.down_proj"):
            for number in range(EXPERTS):
                found |= eight_bits(f"{stem}.{number}.down_proj", *weight.shape[1:])
        else:
            found[name] = weight.clone()
    return found


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, opened: Callable[[str], Any]) -> Callable[[str], Path]:
    def made(how: str) -> Path:
        home = tmp_path_factory.mktemp(how)
        torch.manual_seed(0)
        if how == "mxfp4":
            config: Any = hf.GptOssConfig(intermediate_size=64, num_local_experts=EXPERTS, **SHAPE)
            model: Any = hf.GptOssForCausalLM(config)
        else:
            config = hf.Qwen3MoeConfig(moe_intermediate_size=64, num_experts=EXPERTS, **SHAPE)
            model = hf.Qwen3MoeForCausalLM(config)
        opened("decoder").save_preprocessor(home)
        config.architectures = [type(model).__name__]
        (home / "config.json").write_text(json.dumps(config.to_dict() | {"quantization_config": PACKED[how]}))
        save_file(stored(model, how), home / "model.safetensors")
        return home

    return made


def observed(home: Path, samples: list[Sample], budget: Budget) -> tuple[dict[str, Any], Any]:
    checkpoint = Installed().open(str(home))
    sink = ListSink()
    with Sli().load(checkpoint, budget) as teacher:
        teacher.observe(samples, [Tap(path="model.layers.2"), Tap(path="logprob")], sink)
    taps = ("model.layers.2", "logprob")
    return {sample.key: [sink.value(sample.key, tap) for tap in taps] for sample in samples}, teacher


@pytest.mark.parametrize("how", ["fp8", "mxfp4"])
def test_experts_come_in_groups_where_a_layer_is_too_large(
    how: str, packed: Callable[[str], Path], inputs: Any, tmp_path: Path
) -> None:
    home, samples = packed(how), list(inputs("decoder"))
    budget = Budget(residency="stream", micro_batch=2, scratch=tmp_path)
    whole, _ = observed(home, samples, replace(budget, residency="resident"))
    layer = max(Installed().open(str(home)).blueprint.stacks[0].layer_parameters)
    little, teacher = observed(home, samples, replace(budget, memory=4 * layer))
    room: Streamed = teacher.room
    groups = [path for path in room.units if path.startswith("model.layers.0.mlp.experts#")]
    assert len(groups) > 1, "a layer in float32 and the next one do not fit"
    assert all(room.loads.count(path) == 1 for path in groups), "each is read once"
    for key, values in whole.items():
        for one, other in zip(values, little[key], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    with pytest.raises(NexusError, match="The least that would do is"):
        observed(home, samples, replace(budget, memory=layer // 8))


def test_norms_do_not_hold_what_was_packed(packed: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    native = buffers.anonymous

    def remembered(size: int) -> Any:
        memory = native(size)
        made.append(weakref.ref(memory))
        return memory

    monkeypatch.setattr(buffers, "anonymous", remembered)
    checkpoint = Installed().open(str(packed("fp8")))
    with Sli().load(checkpoint, Budget(residency="resident")) as teacher:
        gc.collect()
        assert teacher.resident
        assert sum(each() is not None for each in made) <= 1, "what was read of a layer is gone; the table is as stored"


def test_how_often_a_layer_is_there_while_it_is_made(packed: Callable[[str], Path]) -> None:
    blueprint = Installed().open(str(packed("mxfp4"))).blueprint
    assert making(blueprint) == 1
    assert {making(replace(blueprint, quantisation=how)) for how in ("q8_0", "q4_k", "iq4_xs", "tq1_0")} == {1}, "GGUF"
    assert making(replace(blueprint, quantisation="fp8")) == 1.5, "experts are put together"
    assert making(replace(blueprint, quantisation="gptq")) == 1.5
    assert making(replace(blueprint, quantisation="")) == 1
