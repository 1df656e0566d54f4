"""Experts of several kinds go to their places at once, with the bits that transformers' own operations give."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from nexus_torch.hugging_face.weights.conversion import Beside
from torch import Tensor
from transformers.core_model_loading import Concatenate, MergeModulelist

KINDS, MADE = ("gate", "up"), ("gate_up",)


def experts(rows: Sequence[int]) -> dict[str, list[Tensor]]:
    """Of three experts."""
    torch.manual_seed(0)
    return {kind: [torch.randn(count, 4) for _ in range(3)] for kind, count in zip(KINDS, rows, strict=True)}


def by_transformers(given: dict[str, list[Tensor]]) -> Tensor:
    found = MergeModulelist(0).convert(dict(given), list(KINDS), list(MADE))
    return Concatenate(1).convert(found, list(KINDS), list(MADE))["gate_up"]


@pytest.mark.parametrize("rows", [(5, 5), (5, 2)])
def test_the_same_bits(rows: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = by_transformers(experts(rows))
    monkeypatch.setattr(torch, "stack", lambda *_, **__: pytest.fail("a copy between"))
    monkeypatch.setattr(torch, "cat", lambda *_, **__: pytest.fail("a copy between"))
    given = experts(rows)
    made = Beside([MergeModulelist(0), Concatenate(1)]).convert(given, KINDS, MADE)["gate_up"]
    assert torch.equal(made, expected)
    assert not given, "what was put in its place is let go"


def test_what_is_not_alike_goes_the_usual_way() -> None:
    given = experts((5, 5))
    given["up"] = [each.double() for each in given["up"]]
    assert torch.equal(
        Beside([MergeModulelist(0), Concatenate(1)]).convert(dict(given), KINDS, MADE)["gate_up"],
        by_transformers(given),
    )
    given["up"][1] = torch.zeros(1, 4).double()
    with pytest.raises(RuntimeError, match="equal size"):
        Beside([MergeModulelist(0), Concatenate(1)]).convert(given, KINDS, MADE)
