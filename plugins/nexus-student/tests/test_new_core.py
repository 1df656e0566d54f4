"""How a new core begins."""

from __future__ import annotations

import pytest
import torch
from nexus_student.cores import GAIN, layer_types, new_core
from nexus_student.options import StudentOptions


def test_layers_of_a_new_core_add_nothing_and_their_matrices_are_orthogonal() -> None:
    core = new_core(StudentOptions(layers=2, width=32), words=40, tokenizer=None).eval()
    layer = core.model.layers[1]
    query = layer.self_attn.q_proj.weight
    assert torch.allclose(query @ query.mT, GAIN**2 * torch.eye(32), atol=1e-5)
    tokens = torch.arange(10)[None]
    states = core(tokens, output_hidden_states=True).hidden_states
    assert torch.equal(states[0], states[1])
    gradient = torch.autograd.grad(core(tokens).logits.square().sum(), layer.feed_forward.w2.weight)[0]
    assert gradient.abs().max() > 0


def test_convolutions_of_a_new_core_begin_as_the_identity() -> None:
    taps = new_core(StudentOptions(layers=2, width=32), words=40, tokenizer=None).model.layers[0].conv.conv.weight
    assert torch.equal(taps[..., -1], torch.ones_like(taps[..., -1]))
    assert not taps[..., :-1].any()


def test_a_layer_in_four_attends_and_the_last() -> None:
    attends = [kind == "full_attention" for kind in layer_types(10)]
    assert [at for at, each in enumerate(attends) if each] == [3, 7, 9]


def test_no_advice_that_a_processor_cannot_follow(caplog: pytest.LogCaptureFixture) -> None:
    core = new_core(StudentOptions(layers=2, width=32), words=40, tokenizer=None).eval()
    with caplog.at_level("WARNING"):
        core(torch.arange(10)[None])
    assert torch.cuda.is_available() or "falling back" not in caplog.text
