"""What towers that perceive share: their size, their parts, and pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import NexusError, Profile
from nexus_specs.testing import blueprint
from nexus_torch.perceiving import PerceptionOptions
from nexus_torch.perception import (
    Classifier,
    PerceptionTower,
    attended,
    number,
    outputs,
    pixels,
    teacher_settings,
)
from torch import nn
from torch.nn import functional


class Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lift = nn.Linear(3, width)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.lift(values)


class Tower(PerceptionTower):
    def __init__(self, **options: Any) -> None:
        self.options = PerceptionOptions(**options)

    def sized(self, profiles: Sequence[Profile]) -> PerceptionOptions:
        return self.options

    def front(self, options: PerceptionOptions, width: int) -> tuple[nn.Module, int]:
        return Patches(width), 5


def taught(**changes: Any) -> list[Profile]:
    found = blueprint(takes=("image",), gives=("label",), labels=("a", "b", "c"), parameters=100_000)
    return [Profile(teacher="x", capability="x", blueprint=replace(found, **changes), layers=())]


def test_it_is_as_large_as_its_share_allows() -> None:
    tower = Tower(share=0.3)
    module = tower.build(blueprint(), taught())
    crossing = (4 * 8 + 2) * 32 + 1
    size = sum(each.numel() for each in module.parameters()) + crossing
    assert 0.8 * 30_000 < size <= 30_000
    again = Tower(**tower.config()).build(blueprint(), ())
    assert {name: each.shape for name, each in again.state_dict().items()} == {
        name: each.shape for name, each in module.state_dict().items()
    }


def test_shapes() -> None:
    module = Tower(width=8, depth=1, latents=2).build(blueprint(), taught())
    latents = module.encode(values=torch.randn(4, 5, 3))
    assert latents.shape == (4, 2, 32)
    assert module.decode(torch.randn(4, 32), latents).shape == (4, 3)


def test_one_that_answers_in_text_has_no_head() -> None:
    module = Tower(width=8, depth=1).build(blueprint(), taught(labels=(), gives=("text",)))
    assert not isinstance(module, Classifier)
    assert not hasattr(module, "decode")


def test_outputs_follow_the_teacher() -> None:
    assert outputs(taught()) == 3
    assert outputs(taught(labels=(), gives=("embedding",))) == 32
    assert outputs(taught(labels=(), gives=("text",))) == 0


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(NexusError, match="Raise the tower's option `share`"):
        Tower().build(blueprint(), taught(parameters=2_000))
    with pytest.raises(NexusError, match="Set its option `width`"):
        Tower(classes=3).build(blueprint(), ())


def test_attention_is_torchs() -> None:
    query, key, value = (torch.randn(2, 3, 7, 4, requires_grad=True) for _ in range(3))
    expected = functional.scaled_dot_product_attention(query, key, value)
    assert torch.allclose(attended(query, key, value), expected, atol=1e-6)
    assert torch.allclose(attended(query.detach(), key, value), expected, atol=1e-6)


def test_what_the_teacher_says_of_its_media(tmp_path: Path) -> None:
    (tmp_path / "preprocessor").mkdir()
    (tmp_path / "preprocessor" / "config.json").write_text(json.dumps({"image_size": [8, 8], "patch": None, "n": 0}))
    (tmp_path / "preprocessor" / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 9, "width": 9}}))
    found = teacher_settings([replace(taught()[0], home=str(tmp_path))])
    assert [number(found, name, 5) for name in ("image_size", "patch", "n", "size", "nothing")] == [8, 5, 5, 9, 5]
    assert teacher_settings([]) == {}


@pytest.mark.parametrize("shape", [(2, 6, 4), (2, 6, 4, 1), (2, 4, 6, 3), (2, 6, 4, 4)])
def test_pixels_are_square_and_in_colour(shape: tuple[int, ...]) -> None:
    media = torch.randint(0, 255, shape, dtype=torch.uint8)
    found = pixels(media, 4)
    assert (found.shape, found.dtype) == ((2, 3, 4, 4), torch.uint8)
    assert pixels(media, 8).shape == (2, 3, 8, 8)
    middle = media[:, 1:5] if shape[1] == 6 else media[:, :, 1:5]
    assert torch.equal(found[:, 0], middle if middle.ndim == 3 else middle[..., 0])
