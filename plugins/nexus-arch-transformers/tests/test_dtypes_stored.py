"""A header that names a dtype of its own making is damaged; one that the format has may stand beside what is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nexus_specs import NexusError
from nexus_torch.hugging_face.header import file_extents


@pytest.mark.parametrize(("dtype", "known"), [("F32", True), ("C64", True), ("F17", False), ("f32", False)])
def test_a_dtype_that_no_library_of_the_format_reads_is_refused(dtype: str, known: bool, tmp_path: Path) -> None:
    size = 16 if dtype == "C64" else 8
    text = json.dumps({"w": {"dtype": dtype, "shape": [2], "data_offsets": [0, size]}}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
    if known:
        assert [each.dtype for each in file_extents(str(file))] == [dtype]
        return
    with pytest.raises(
        NexusError, match=f"'w' is of the dtype '{dtype}', which safetensors has not; BOOL, .* are read"
    ):
        file_extents(str(file))
