"""A layer's weights are unpacked one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nexus_arch_gguf import unpacked as loader
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.types import TensorInfo
from nexus_arch_gguf.unpacked import AT_ONCE, Unpacked, some_at_once
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


@pytest.mark.parametrize("row", ["qwen3_moe", "gpt_oss", "llama4", "gemma4_moe", "dbrx"])
def test_experts_are_made_some_at_a_time(
    row: str, written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits, in the dtype that is asked for, and never more of a tensor than one expert."""
    checkpoint = Gguf().open(str(written(row, "Q8_0")), Installed())
    part = checkpoint.parts[-1]
    raw = {extent.key: raw_tensor(extent) for extent in part.extents}
    whole = dict(checkpoint.assemble(part, raw))
    most = Counter[str]()
    native = loader.dequantise

    def noting(info: TensorInfo, stored: Tensor) -> Tensor:
        found = native(info, stored)
        most[info.name] = max(most[info.name], found.numel())
        return found

    monkeypatch.setattr(loader, "dequantise", noting)
    monkeypatch.setattr(loader, "AT_ONCE", 1)
    made = checkpoint.assemble(part, raw)
    for name, each in whole.items():
        assert torch.equal(made[name], each)
        narrow = made.of(name, torch.bfloat16)              # type: ignore[attr-defined]
        assert torch.equal(narrow.bfloat16(), each.bfloat16())
        assert narrow.dtype == torch.bfloat16 or ".experts." not in name
    tensors = checkpoint.source.tensors                     # type: ignore[attr-defined]
    experts = {name: tensors[name] for name in most if "_exps." in name and len(tensors[name].shape) == 3}
    assert experts
    assert all(most[name] == each.shape[1] * each.shape[2] for name, each in experts.items())


@pytest.mark.parametrize("row", ["llama", "gemma3", "gpt_oss"])
def test_tables_are_made_some_rows_at_a_time(
    row: str, written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bits, in the dtype that is asked for, and never more of a packed table or matrix than a row;
    what is reordered (rotated queries), and what is not packed, is made whole."""
    checkpoint = Gguf()._checkpoint(str(written(row, "Q8_0")))
    native, most = loader.dequantise, Counter[str]()

    def noting(info: TensorInfo, stored: Tensor) -> Tensor:
        found = native(info, stored)
        most[info.name] = max(most[info.name], found.numel())
        return found

    for part in checkpoint.parts[:2]:
        raw = {extent.key: raw_tensor(extent) for extent in part.extents}
        whole = dict(checkpoint.assemble(part, raw))
        with monkeypatch.context() as patched:
            patched.setattr(loader, "dequantise", noting)
            patched.setattr(loader, "AT_ONCE", 1)
            made = checkpoint.assemble(part, raw)
            for name, each in whole.items():
                assert torch.equal(made[name], each)
                narrow = made.of(name, torch.bfloat16)      # type: ignore[attr-defined]
                assert torch.equal(narrow.bfloat16(), each.bfloat16())
    tensors = checkpoint.source.tensors
    rows = {name: tensors[name].shape[-1] for name in most}
    assert most["token_embd.weight"] == rows["token_embd.weight"]
    assert most["blk.0.attn_output.weight"] == rows["blk.0.attn_output.weight"]
    assert (most["blk.0.attn_q.weight"] == rows["blk.0.attn_q.weight"]) == (row != "llama")
    assert most["blk.0.attn_norm.weight"] == rows["blk.0.attn_norm.weight"]


def test_as_many_experts_as_a_cache_holds() -> None:
    asked: list[slice] = []
    values = torch.arange(5.0)
    made = some_at_once(5, AT_ONCE // 2, lambda some: (asked.append(some), values[some])[1], torch.float64)
    assert asked == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert torch.equal(made, values.double())
