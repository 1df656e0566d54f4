"""How wide the layers of a tower are: losses on hidden states need it."""

from __future__ import annotations

from nexus_student.student import _own_stack
from nexus_torch.perceiving import PerceptionOptions
from nexus_torch.perception import Perceiver
from nexus_torch.stacks import stacks
from torch import nn


def test_a_layer_with_a_norm_is_as_wide_as_its_norm() -> None:
    tower = Perceiver(nn.Identity(), count=4, width=12, core=8, options=PerceptionOptions(depth=3))
    (paths,) = stacks(tower).values()
    found = _own_stack(tower, paths, "towers.eyes.own.")
    assert found.widths == (12, 12, 12)
    assert found.layers[0] == "towers.eyes.own.layers.0"


def test_of_a_layer_without_one_nothing_is_known() -> None:
    plain = nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(4, 4) for _ in range(2))})
    assert _own_stack(plain, ("layers.0", "layers.1"), "").widths == (-1, -1)
