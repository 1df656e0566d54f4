"""Attention for training equals torch's, and steps aside where it is not meant."""

from __future__ import annotations

import pytest
import torch
from nexus_student import attention as blocks
from torch.nn import functional


def made(length: int, heads: int = 2, keys: int = 2, grad: bool = True) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    query = torch.randn(2, heads, length, 8, requires_grad=grad)
    return query, *(torch.randn(2, keys, length, 8, requires_grad=grad) for _ in range(2))


@pytest.mark.parametrize("length", [1, 7, 176, 400])
def test_it_is_causal_attention(length: int) -> None:
    query, key, value = made(length)
    ours = blocks.causal(query, key, value, 8**-0.5)
    theirs = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert torch.allclose(ours, theirs, atol=1e-5)
    grads = [torch.autograd.grad(each.square().sum(), (query, key, value)) for each in (ours, theirs)]
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(*grads, strict=True))


@pytest.mark.parametrize("case", ["trains", "groups", "mask", "evaluates"])
def test_the_interface(case: str) -> None:
    query, key, value = made(9, heads=4, keys=2 if case == "groups" else 4, grad=case != "evaluates")
    module = torch.nn.Module()
    module.is_causal, module.num_key_value_groups = True, 4 // key.shape[1]
    mask = torch.ones(1, 1, 9, 9).tril().bool() if case == "mask" else None
    found, _ = blocks.attention(module, query, key, value, mask, scaling=8**-0.5)
    repeated = [each.repeat_interleave(4 // each.shape[1], 1) for each in (key, value)]
    expected = functional.scaled_dot_product_attention(query, *repeated, is_causal=True).transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-5)


def test_it_is_for_cores_that_use_sdpa() -> None:
    from nexus_student.cores import new_core
    from nexus_student.options import StudentOptions

    core = new_core(StudentOptions(layers=1, width=32), 20, None)
    core.config._attn_implementation = "eager"
    blocks.for_training(core)
    assert core.config._attn_implementation == "eager"
    core.config._attn_implementation = "sdpa"
    blocks.for_training(core)
    assert core.config._attn_implementation == blocks.NAME
