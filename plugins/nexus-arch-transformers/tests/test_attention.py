"""Attention in blocks: what it gives, when it is used, and what it leaves to SDPA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, Sample
from nexus_torch.hugging_face import attention as blocks
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

SHAPE = (3, 2, 300, 8)


def three() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, two, three = (torch.randn(SHAPE, generator=generator) for _ in range(3))
    return one, two, three


def padded(*lengths: int) -> torch.Tensor:
    seen = torch.arange(SHAPE[2]) < torch.tensor(lengths)[:, None]
    return seen[:, None, None] & torch.ones(SHAPE[2], SHAPE[2], dtype=torch.bool).tril()


def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    causal = blocks.causal
    monkeypatch.setattr(blocks, "causal", lambda *given: (calls.append(given), causal(*given))[1])
    return calls


def test_blocks_are_causal_attention() -> None:
    query, key, value = three()
    expected = scaled_dot_product_attention(query, key, value, is_causal=True)
    found = blocks.causal(query, key, value, SHAPE[-1] ** -0.5)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.03, atol=0.03)
    changed = value.clone()
    changed[:, :, 200:] = 7
    before, after = (blocks.causal(query, key, each, 0.3)[:, :, :200] for each in (value, changed))
    assert torch.equal(before, after)


class Made(TorchDispatchMode):
    """Storages that operations made, as the streaming engine sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {each.untyped_storage()._cdata for each in args if isinstance(each, torch.Tensor)}
        output = func(*args, **(kwargs or {}))
        self.storages |= {output.untyped_storage()._cdata} - known if isinstance(output, torch.Tensor) else set()
        return output


def test_tables_that_stay_are_of_no_forward() -> None:
    blocks._future.cache_clear()
    with Made() as made:
        table = blocks._future(3, 9)
    assert table.untyped_storage()._cdata not in made.storages
    assert torch.equal(table, torch.full((6, 9), -torch.inf, dtype=torch.bfloat16).triu(4))


def test_masks_that_hide_more_than_future_and_padding_are_told() -> None:
    assert blocks.causal_and_padded(padded(300, 120, 7))
    window = padded(300, 300, 300).triu(-50)
    left = padded(300, 300, 300)
    left[0, :, :, :5] = False
    both = torch.ones_like(window)
    assert not any(map(blocks.causal_and_padded, (window, left, both, window.float(), window[:, :, 1:])))


@pytest.mark.parametrize(
    ("half", "mask", "settings", "used"),
    [
        (True, padded(300, 120, 7), {}, True),
        (True, None, {}, True),
        (True, None, {"is_causal": False}, False),
        (True, padded(300, 120, 7).triu(-50), {}, False),
        (True, None, {"position_bias": torch.zeros(1, 2, 300, 300)}, False),
        (False, None, {}, False),
    ],
)
def test_only_causal_attention_in_half_precision_goes_through_blocks(
    half: bool, mask: Any, settings: dict[str, Any], used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, module = called(monkeypatch), nn.Module()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        found, _ = blocks.attention(module, *three(), mask, scaling=0.35, **settings)
        expected, _ = blocks.sdpa_attention_forward(module, *three(), mask, scaling=0.35, **settings)
    assert bool(calls) == used
    kept = torch.ones(SHAPE[0], SHAPE[2], dtype=torch.bool) if mask is None else mask[:, 0, -1]
    torch.testing.assert_close(found.float()[kept], expected.float()[kept], rtol=0.03, atol=0.03)


def test_modules_that_are_not_causal_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = called(monkeypatch)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        blocks.attention(SimpleNamespace(is_causal=False), *three(), None)  # type: ignore[arg-type]
    assert not calls


@pytest.mark.parametrize("name", ["llama", "experts"])
def test_decoders_use_it_under_autocast_alone(
    name: str, checkpoint_folder: Callable[[str], Path], texts: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder(name)), Installed())
    module = checkpoint.skeleton().to_empty(device="cpu")
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.02)
    calls, batch = called(monkeypatch), checkpoint.collate(texts)
    with torch.no_grad():
        module(**batch)
        assert not calls
        with torch.autocast("cpu", torch.bfloat16):
            module(**batch)
    assert len(calls) == checkpoint.blueprint.largest_stack.count
