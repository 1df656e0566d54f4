"""Experts are chosen in float32 where their router asks for it, also where a run computes in bfloat16."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import transformers as hf
from nexus_torch.hugging_face.configuration.classes import skeleton
from nexus_torch.hugging_face.configuration.routing import EXACT, routed_exactly
from torch.nn.functional import linear

ASKED = re.compile(r"^.*linear\(.*\bself\..*(?:\.float\(\)|float32).*\).*$", re.MULTILINE)
"""A line with a product and a demand for float32, spelt in any way."""
KNOWN = 38
"""Products of that kind in transformers 5.23."""


def router(kind: type[hf.PreTrainedModel] = hf.Glm4MoeForCausalLM) -> torch.nn.Module:
    config = hf.Glm4MoeConfig(
        vocab_size=20, hidden_size=32, intermediate_size=16, moe_intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=16, n_routed_experts=8, num_experts_per_tok=2,
        n_group=1, topk_group=1, first_k_dense_replace=1,
    )  # fmt: skip
    return skeleton(config, kind).get_submodule("model.layers.1.mlp.gate")


@torch.no_grad()
def test_a_router_that_asks_for_float32_has_it() -> None:
    gate = router().to_empty(device="cpu")
    torch.manual_seed(0)
    for each in (*gate.parameters(), *gate.buffers()):
        each.copy_(torch.randn_like(each))
    states = torch.randn(5, 32)
    with torch.autocast("cpu", torch.bfloat16):
        found = gate(states)
        assert linear(states, gate.weight).dtype == torch.bfloat16, "all else is as it was"
    assert any(torch.equal(each, linear(states, gate.weight)) for each in found if isinstance(each, torch.Tensor))


def test_it_is_followed_without_weights() -> None:
    found = router().to("meta")(torch.empty(5, 32, device="meta"))
    assert all(each.is_meta for each in found)


def test_other_modules_are_left_alone() -> None:
    plain = hf.LlamaModel(hf.LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                         num_attention_heads=1))  # fmt: skip
    routed_exactly(plain)
    assert not any("forward" in vars(each) for each in plain.modules())


@pytest.mark.parametrize("line", [
    "F.linear(hidden_states.type(torch.float32), self.weight.type(torch.float32))",
    "F.linear(hidden_states.type(torch.float32), self.classifier.weight.type(torch.float32))",
    "F.linear(hidden_states.float(), self.weight.float())",
    "F.linear(states.to(torch.float32), self.weight.to(dtype=torch.float32))",
    "F.linear(flattened, self.fn.float())",
    "F.linear(\n    hidden_states.float(), self.weight.float(), self.bias.float()\n)",
])  # fmt: skip
def test_a_product_in_float32_is_known_in_each_spelling(line: str) -> None:
    assert EXACT.search(f"    router_logits = {line}\n")


def test_a_product_that_is_turned_afterwards_asks_for_nothing() -> None:
    assert not EXACT.search("F.linear(hidden_states, self.weight).float()")


def test_no_product_of_the_library_evades_the_pattern() -> None:
    """A new release may spell it in another way: this fails then, and EXACT is to learn it."""
    places = sorted((Path(hf.__file__).parent / "models").glob("*/modeling_*.py"))
    texts = {path.name: path.read_text(encoding="utf-8") for path in places}
    evading = [
        f"{name}: {line.strip()}" for name, text in texts.items() for line in ASKED.findall(text)
        if not EXACT.search(line) and not re.search(r"\)\.float\(\)\s*(?:#|$)", line)
    ]  # fmt: skip
    assert not evading
    assert sum(len(EXACT.findall(text)) for text in texts.values()) >= KNOWN


@torch.no_grad()
def test_streams_are_mixed_in_float32() -> None:
    """DeepSeek-V4's connections ask for one side, the other is in float32 already."""
    from transformers.models.deepseek_v4.modeling_deepseek_v4 import DeepseekV4HyperConnection

    torch.manual_seed(0)
    module = DeepseekV4HyperConnection(hf.DeepseekV4Config(hidden_size=32, hc_mult=2))
    for each in module.parameters():
        each.normal_()
    states = torch.randn(1, 3, 2, 32)
    expected = module(states)
    routed_exactly(module)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(module(states), expected, strict=True))
