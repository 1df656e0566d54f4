"""Experts are chosen in float32 where their router asks for it, also where a run computes in bfloat16."""

from __future__ import annotations

import torch
import transformers as hf
from nexus_torch.hugging_face.configuration.classes import skeleton
from nexus_torch.hugging_face.configuration.routing import routed_exactly
from torch.nn.functional import linear


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
