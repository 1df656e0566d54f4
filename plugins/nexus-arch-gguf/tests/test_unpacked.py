"""A layer's weights are unpacked one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nexus_arch_gguf import checkpoint as loader
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.types import TensorInfo
from nexus_arch_gguf.unpacked import Unpacked
from nexus_specs import Installed
from nexus_specs.testing.parts import raw_tensor
from torch import Tensor


def test_a_weight_is_unpacked_when_it_is_asked_for(
    written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Gguf().open(str(written("llama")), Installed())
    part = next(each for each in checkpoint.parts if each.path.endswith("layers.0"))
    raw = {extent.key: raw_tensor(extent) for extent in part.extents}
    opened = Counter[str]()
    native = loader.dequantise

    def noting(info: TensorInfo, stored: Tensor) -> Tensor:
        opened.update([info.name])
        return native(info, stored)

    monkeypatch.setattr(loader, "dequantise", noting)
    made = checkpoint.assemble(part, raw)
    assert not opened, "their names are known without"
    first = next(iter(made.values()))
    assert opened.total() == 1
    assert torch.equal(first, made[next(iter(made))])
    opened.clear()
    assert len(list(made.items())) == len(made) >= len(opened) == len(raw)
    assert set(opened.values()) == {1}
    with pytest.raises(KeyError):
        made["model.layers.0.nothing"]


def test_what_several_are_made_of_is_kept_until_the_last() -> None:
    asked: list[str] = []
    values: dict[str, Tensor] = {"both": torch.ones(2), "one": torch.zeros(2)}
    unpacked = Unpacked(lambda name: (asked.append(name), values[name])[1], ["both", "one", "both"])
    assert all(unpacked[name] is values[name] for name in ("both", "one", "both"))
    assert asked == ["both", "one"]
    assert not unpacked.kept
