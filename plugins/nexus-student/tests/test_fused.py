"""The hand-written parts of a core equal transformers', forwards and backwards."""

from __future__ import annotations

import copy

import pytest
import torch
from nexus_student.config import NexusConfig
from nexus_student.cores import new_core
from nexus_student.fused import STEP, FusedConvolution, FusedNorm, fuse
from nexus_student.model import NexusModel
from nexus_student.options import StudentOptions
from torch import nn

IDS = torch.arange(22).reshape(2, 11)


def pair() -> tuple[nn.Module, nn.Module]:
    """A core with random weights, and the same one fused."""
    torch.manual_seed(0)
    core = new_core(StudentOptions(layers=4, width=32), words=40, tokenizer=None)
    for parameter in core.parameters():
        nn.init.normal_(parameter, std=0.3)
    other = copy.deepcopy(core)
    fuse(other)
    return core, other


@pytest.mark.parametrize("length", [1, 2, 11])
def test_loss_and_gradients_are_those_of_transformers(length: int) -> None:
    gradients, losses = [], []
    for core in pair():
        loss = core(IDS[:, :length], use_cache=False).logits.square().mean()
        loss.backward()
        losses.append(loss.item())
        gradients.append({name: each.grad for name, each in core.named_parameters() if each.grad is not None})
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert set(gradients[0]) == set(gradients[1])
    for name, gradient in gradients[0].items():
        slack = 1e-7 + 1e-4 * gradient.abs().max().item()
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-3, atol=slack), name


def test_in_bfloat16_they_stay_close() -> None:
    found = []
    for core in pair():
        with torch.autocast("cpu", torch.bfloat16):
            loss = core(IDS, use_cache=False).logits.float().square().mean()
        loss.backward()
        found.append(core.model.layers[0].conv.conv.weight.grad)
    assert torch.nn.functional.cosine_similarity(found[0].flatten(), found[1].flatten(), dim=0) > 0.99


def test_a_frozen_core_passes_gradients_on() -> None:
    found = []
    for core in pair():
        core.requires_grad_(False)
        embeds = torch.ones(1, 5, 32, requires_grad=True)
        core.model(inputs_embeds=embeds, use_cache=False).last_hidden_state.sum().backward()
        found.append(embeds.grad)
    assert torch.allclose(*found, rtol=1e-3, atol=1e-4)


def test_without_gradients_it_is_transformers_to_the_bit() -> None:
    plain, fused = pair()
    with torch.no_grad():
        assert torch.equal(plain(IDS).logits, fused(IDS).logits)
        assert plain.generate(IDS[:1, :4], max_new_tokens=5, do_sample=False, pad_token_id=0).tolist() == (
            fused.generate(IDS[:1, :4], max_new_tokens=5, do_sample=False, pad_token_id=0).tolist()
        )


def test_fusing_changes_no_name() -> None:
    plain, fused = pair()
    assert list(plain.state_dict()) == list(fused.state_dict())
    kinds = {type(module) for module in fused.modules()}
    assert {FusedNorm, FusedConvolution} <= kinds


@pytest.mark.parametrize("length", [STEP, STEP + 1, 2 * STEP + 5])
def test_texts_in_training_run_at_even_lengths_and_nobody_sees_it(length: int) -> None:
    core, _ = pair()
    model = NexusModel(NexusConfig(core=core.config.to_dict()), core)
    ids, seen, losses, gradients = torch.arange(2 * length).reshape(2, length) % 40, [], [], []
    handle = core.model.layers[0].register_forward_hook(lambda _, __, output: seen.append(output.shape[1]))
    for cached in (False, True):                    # a forward that fills a cache is no training, and runs as it is
        core.zero_grad()
        hidden = model(ids, signal=True, use_cache=cached).last_hidden_state
        hidden.square().mean().backward()
        losses.append(hidden.shape)
        gradients.append([each.grad for each in core.model.parameters() if each.grad is not None])
    handle.remove()
    assert seen == [-(-length // STEP) * STEP, length]
    assert losses[0] == losses[1] == (2, length, 32)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in zip(*gradients, strict=True))
