"""What streaming a 70 B, a 671 B and a 1 T teacher takes, from `config.json` alone, against a calculation by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.planning.costs import WAITS
from nexus_specs import Blueprint, Budget, Installed

GB = 10**9
RATES = Budget(
    precision="bfloat16", threads=8, gigaflops=100.0, read_rate=2e9, memory=16 * GB, micro_batch=8, residency="auto",
    weight_rate=5e9, call_rate=2e5,
)  # fmt: skip
SAMPLES, TOKENS = 1000, 256
TOGETHER = 1 + 0.92 * 7
COMPUTED = 100e9 * TOGETHER
"""Operations a second: a square product's rate on each of eight threads, less what threads lose."""
MET = 2 * SAMPLES / 8 / (5e9 * TOGETHER)
"""Seconds for each weight: it is taken from memory, in sixteen bits, for each micro-batch of eight samples."""
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28672,
    "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256,
    "max_position_embeddings": 8192, "tie_word_embeddings": False, "dtype": "bfloat16",
}  # fmt: skip
DEEPSEEK: dict[str, Any] = {
    "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "hidden_size": 7168,
    "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 61, "first_k_dense_replace": 3,
    "num_attention_heads": 128, "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256,
    "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "vocab_size": 129280,
    "max_position_embeddings": 163840, "tie_word_embeddings": False, "dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
}  # fmt: skip
KIMI = DEEPSEEK | {
    "n_routed_experts": 384, "num_attention_heads": 64, "num_key_value_heads": 64, "first_k_dense_replace": 1,
    "n_group": 1, "topk_group": 1, "vocab_size": 163840,
}  # fmt: skip


def matrices(config: dict[str, Any]) -> dict[str, int]:
    """Weights that multiply, of DeepSeek's architecture: attention, dense MLP, one expert, router, table."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    nope, rope, value = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    query = config["q_lora_rank"] * (hidden + heads * (nope + rope))
    keys = hidden * (config["kv_lora_rank"] + rope) + config["kv_lora_rank"] * heads * (nope + value)
    return {
        "attention": query + keys + heads * value * hidden,
        "dense": 3 * hidden * config["intermediate_size"],
        "expert": 3 * hidden * config["moe_intermediate_size"],
        "router": hidden * config["n_routed_experts"],
        "table": config["vocab_size"] * hidden,
    }


def counted(config: dict[str, Any]) -> tuple[int, int]:
    """(all, active) weights that multiply."""
    each, layers, dense = matrices(config), config["num_hidden_layers"], config["first_k_dense_replace"]
    always = layers * each["attention"] + dense * each["dense"] + 2 * each["table"]
    sparse = layers - dense
    rest = {
        number: sparse * ((number + 1) * each["expert"] + each["router"])
        for number in (config["n_routed_experts"], config["num_experts_per_tok"])
    }
    return always + rest[config["n_routed_experts"]], always + rest[config["num_experts_per_tok"]]


def beside(config: dict[str, Any]) -> float:
    """Seconds for what is done to states besides products, and for the softmax of attention."""
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    return SAMPLES * TOKENS * layers * (width * 110 * 2 + width // 96 * TOKENS * 48) / (5e9 * TOGETHER)


@pytest.fixture(scope="module")
def blueprint(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[str, Blueprint] = {}

    def of(name: str, config: dict[str, Any]) -> Blueprint:
        if name not in made:
            folder: Path = tmp_path_factory.mktemp(name)
            (folder / "config.json").write_text(json.dumps(config))
            made[name] = Installed().inspect(str(folder))
        return made[name]

    return of


def test_seventy_billion_in_sixteen_bits(blueprint: Any) -> None:
    found: Blueprint = blueprint("llama", LLAMA)
    layer = 2 * 8192 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 28672 + 2 * 8192
    table = 128256 * 8192
    assert found.parameters == 80 * layer + 2 * table + 8192 == 70_553_706_496
    assert found.bytes == 2 * found.parameters
    estimate = Sli().estimate(found, SAMPLES, 0, RATES, tokens=TOKENS)
    assert estimate.how.startswith("stream")
    assert estimate.read == found.bytes, "once, whatever the corpus"
    assert estimate.passes == 1
    tokens = SAMPLES * TOKENS
    operations = tokens * (2 * (found.parameters - table) + 4 * 80 * 8192 * TOKENS / 2)
    passing = MET * (found.parameters - table) + beside(LLAMA)
    assert estimate.seconds == pytest.approx(operations / COMPUTED + passing, rel=0.01), "many samples: the arithmetic"
    assert Sli().estimate(found, 1, 0, RATES).seconds == pytest.approx(found.bytes / 2e9, rel=0.03), "one: the disk"
    states = 2 * tokens * 8192 * 2                          # what the last layer gave, and what the first was given
    units = 2 * layer + 2 * table                           # the last layer that runs, and the head that arrives
    assert 2 * 2 * layer < units
    assert units < estimate.memory - (states - estimate.disk) < units + GB
    assert estimate.memory <= RATES.memory


@pytest.mark.parametrize(("name", "config", "billions"), [("deepseek", DEEPSEEK, 671), ("kimi", KIMI, 1026)])
def test_experts_in_eight_bits(name: str, config: dict[str, Any], billions: int, blueprint: Any) -> None:
    found: Blueprint = blueprint(name, config)
    whole, active = counted(config)
    assert round(whole / 1e9) == billions
    assert found.parameters == pytest.approx(whole, rel=1e-4), "norms and biases beside"
    assert found.active_parameters == pytest.approx(active, rel=1e-3)
    table = matrices(config)["table"]
    assert found.bytes == pytest.approx(whole - 2 * table + 2 * 2 * table, rel=0.01), "eight bits, tables in sixteen"
    estimate = Sli().estimate(found, SAMPLES, 0, RATES)
    assert estimate.read == found.bytes
    tokens, layers, width = SAMPLES * TOKENS, config["num_hidden_layers"], config["hidden_size"]
    arithmetic = tokens * (2 * (active - table) + 4 * layers * width * TOKENS / 2) / COMPUTED
    unpacking = whole / (0.6e9 * 8)
    passing = MET * (whole - table) + beside(config)        # 2048 tokens meet every expert
    assert estimate.seconds == pytest.approx(max(found.bytes / 2e9, arithmetic + unpacking + passing), rel=0.01)
    layer = matrices(config)["attention"] + (config["n_routed_experts"] + 1) * matrices(config)["expert"]
    assert 3 * layer > RATES.memory, "a layer alone, and the next one, do not fit: experts come in groups"
    assert estimate.memory <= RATES.memory
    more = Sli().estimate(found, SAMPLES, 0, replace(RATES, memory=256 * GB))
    there = 3 * layer + layer                               # unpacked, and one kind put together; stored
    assert there < more.memory + more.disk < there + 2 * tokens * width * 2 + 2 * GB


def test_more_samples_take_more_disk_and_no_more_memory(blueprint: Any) -> None:
    found: Blueprint = blueprint("llama", LLAMA)
    few, many = (Sli().estimate(found, samples, 0, RATES, tokens=TOKENS) for samples in (10_000, 20_000))
    assert few.memory == many.memory == RATES.memory
    frames = 10_000 // 8 * WAITS                            # of the forwards that wait: they stay in memory
    assert many.disk - few.disk == 2 * 10_000 * TOKENS * 8192 * 2 + frames


@pytest.mark.parametrize(("name", "config"), [("llama", LLAMA), ("deepseek", DEEPSEEK), ("kimi", KIMI)])
def test_two_gigabytes_are_enough(name: str, config: dict[str, Any], blueprint: Any) -> None:
    """An embedding of 70 B has 2.1 GB: it comes some rows at a time, as its head does."""
    found: Blueprint = blueprint(name, config)
    little = Sli().place(found, replace(RATES, memory=2 << 30, micro_batch=0))
    estimate = Sli().estimate(found, SAMPLES, 0, little)
    assert estimate.memory <= little.memory
    assert estimate.read == found.bytes
    assert estimate.passes == 1
    assert 2 * found.vocabulary * config["hidden_size"] > 0.7 * little.memory
