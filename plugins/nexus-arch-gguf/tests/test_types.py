"""What a file's bytes are: named as they are stored, each type read a part at a time or refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.dequantise import dequantise
from nexus_arch_gguf.types import TensorInfo
from nexus_specs import NexusError

KINDS = gguf.GGMLQuantizationType
READ = sorted(gguf.quants._type_traits, key=lambda kind: kind.value)
PLAIN = {KINDS.F32, KINDS.F16, KINDS.F64, KINDS.I8, KINDS.I16, KINDS.I32, KINDS.I64}
REFUSED = [kind for kind in KINDS if kind not in READ and kind not in PLAIN]
ROWS, BLOCKS = 6, 3


def stored(kind: Any) -> tuple[TensorInfo, torch.Tensor, np.ndarray[Any, Any]]:
    """A tensor of a type, of random bytes whose scales are finite: its header, its bytes, its rows of bytes."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows = np.random.default_rng(0).integers(0, 60, (ROWS, BLOCKS * size), dtype=np.uint8)
    info = TensorInfo("x", (2, ROWS // 2, BLOCKS * block), int(kind), 0, rows.size)
    return info, torch.from_numpy(rows.reshape(-1).copy()), rows


@pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.name)
def test_every_type_that_gguf_reads_is_read(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one piece, and some rows at a time: the same numbers."""
    info, raw, rows = stored(kind)
    expected = gguf.quants.dequantize(rows, kind).reshape(info.shape)
    for step in (1 << 24, 2 * info.shape[-1], 1):
        monkeypatch.setattr("nexus_arch_gguf.dequantise.ROWS_AT_ONCE", step)
        np.testing.assert_array_equal(dequantise(info, raw).float().numpy(), expected)


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_a_type_that_gguf_does_not_read_is_named(kind: Any) -> None:
    info, raw, _ = stored(kind)
    with pytest.raises(NexusError, match=f"stored as {kind.name}, which gguf cannot dequantise"):
        dequantise(info, raw)


def test_inspection_says_what_cannot_be_read(model: Callable[..., Any], tmp_path: Path) -> None:
    """Before somebody plans with it."""
    from gguf_files import writing

    def add(writer: Any, name: str, data: np.ndarray[Any, Any], _: str) -> None:
        if "ffn_down" not in name:
            writer.add_tensor(name, data)
            return
        block, size = gguf.GGML_QUANT_SIZES[KINDS.Q8_1]
        blocks = np.zeros((len(data), data.shape[1] // block * size), dtype=np.uint8)
        writer.add_tensor(name, blocks, raw_dtype=KINDS.Q8_1)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(writing, "add", add)
        path = writing.write("llama", model("llama"), tmp_path / "a.gguf")
    assert Gguf().inspect(str(path)).missing == (
        "weights that can be read: Q8_1 is nothing that gguf can dequantise",
    )


CALLED = {
    "F32": "F32", "F16": "F16", "BF16": "BF16", "Q8_0": "mixed: mostly Q8_0, also F16",
    "Q5_1": "mixed: mostly Q5_1, also F16", "Q4_0": "mixed: mostly F16, also Q4_0",
}  # fmt: skip
"""Rows of 172 are no blocks of 32: whoever wrote the files left them in half precision."""


@pytest.mark.parametrize("kind", sorted(CALLED))
def test_a_stack_is_called_by_its_bytes(kind: str, shared: Path) -> None:
    found = Gguf().inspect(str(shared / "data" / "gguf" / f"stories260K-{kind}.gguf"))
    (stack,) = found.stacks
    assert stack.dtype == CALLED[kind]
    assert found.quantisation == ("" if kind in ("F32", "F16", "BF16") else kind.lower())


@pytest.mark.parametrize("row", ["llama", "qwen3_moe"])
def test_bytes_are_those_in_the_file(row: str, written: Callable[..., Path]) -> None:
    found = Gguf()._checkpoint(str(written(row, "Q4_0")))
    infos = {name: info for name, (_, info) in found.source.places.items()}
    assert found.blueprint.bytes == sum(info.stop - info.start for info in infos.values())
    (stack,) = found.blueprint.stacks
    layers = [sum(each.stop - each.start for each in part.extents) for part in found.parts if part.path]
    assert list(stack.layer_bytes) == layers
    assert stack.dtype == "Q4_0"
