"""Whole files of every type that gguf can dequantise and Python cannot write (K-quants, IQ types): blocks of random
bytes, and the same model written in F32 with what gguf's own `dequantize` makes of them. Both open as one model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_files import writing
from nexus_arch_gguf.architecture import Gguf
from nexus_specs import Installed

TYPES = gguf.GGMLQuantizationType
BLOCKS = sorted(kind.name for kind in gguf.quants._type_traits if kind not in (TYPES.F32, TYPES.F16, TYPES.BF16))
SIZES = {"hidden_size": 256, "intermediate_size": 256, "moe_intermediate_size": 256, "head_dim": 64,
         "num_hidden_layers": 2}  # fmt: skip
"""Rows of whole blocks, the largest of which has 256 numbers."""
ROWS = [("qwen3_moe", kind) for kind in BLOCKS] + [("llama3", kind) for kind in ("Q4_K", "Q6_K", "IQ2_XXS", "IQ4_XS")]
"""Experts that lie together; rows in the order of rotary embeddings, and a head that is the embedding."""
Write = Callable[[str, str], tuple[Path, Path]]


@pytest.fixture
def files(model: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A row and a type -> the file in blocks, and that with their values in F32."""

    def write(row: str, kind: str) -> tuple[Path, Path]:
        drawn = np.random.default_rng(0)
        wanted = TYPES[kind]
        block, size = gguf.GGML_QUANT_SIZES[wanted]
        blocks: dict[str, np.ndarray[Any, Any]] = {}

        def in_blocks(writer: Any, name: str, data: np.ndarray[Any, Any], _: str) -> None:
            if data.ndim < 2 or data.shape[-1] % block:
                writer.add_tensor(name, data)
                return
            shape = (*data.shape[:-1], data.shape[-1] // block * size)
            blocks[name] = drawn.integers(0, 60, shape, dtype=np.uint8)      # every scale in them is finite
            writer.add_tensor(name, blocks[name], raw_dtype=wanted)

        def in_floats(writer: Any, name: str, data: np.ndarray[Any, Any], _: str) -> None:
            writer.add_tensor(name, gguf.dequantize(blocks[name], wanted) if name in blocks else data)

        made = model(row, **SIZES)
        found = []
        for label, add in (("blocks", in_blocks), ("floats", in_floats)):
            monkeypatch.setattr(writing, "add", add)
            found.append(writing.write(row, made, tmp_path / f"{row}-{kind}-{label}.gguf"))
        assert len(blocks) >= 15, "the embedding and the matrices of two layers"
        return found[0], found[1]

    return write


@pytest.mark.parametrize(("row", "kind"), ROWS)
def test_a_file_of_blocks_is_the_file_of_their_values(row: str, kind: str, files: Write, loaded: Any) -> None:
    packed, plain = files(row, kind)
    checkpoint = Gguf().open(str(packed), Installed())
    assert checkpoint.blueprint.quantisation == kind.lower()
    _, found = loaded(checkpoint)
    _, expected = loaded(Gguf().open(str(plain), Installed()))
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert torch.isfinite(tensor).all(), name
        assert torch.equal(found[name], tensor), name
