"""How a new core begins."""

from __future__ import annotations

import torch
from nexus_student.cores import GAIN, new_core
from nexus_student.options import StudentOptions


def test_layers_of_a_new_core_add_nothing_and_their_matrices_are_orthogonal() -> None:
    core = new_core(StudentOptions(layers=2, width=32), words=40, tokenizer=None).eval()
    layer = core.model.layers[1]
    query = layer.self_attn.q_proj.weight
    assert torch.allclose(query @ query.mT, GAIN**2 * torch.eye(32), atol=1e-5)
    tokens = torch.arange(10)[None]
    states = core(tokens, output_hidden_states=True).hidden_states
    assert torch.equal(states[0], states[1])
    gradient = torch.autograd.grad(core(tokens).logits.square().sum(), layer.mlp.down_proj.weight)[0]
    assert gradient.abs().max() > 0
