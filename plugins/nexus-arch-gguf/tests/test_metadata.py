"""Metadata that lies: refused in words, whatever it says, before anything large is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf_files.metadata import metadata
from gguf_files.reading import loaded
from gguf_files.tensors import converted, stacked
from gguf_files.tiny import MODELS, model_of
from gguf_files.writing import put, vocabulary
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nexus_arch_gguf.architecture import Gguf
from nexus_specs import NexusError

CHANGED: dict[str, tuple[Any, str]] = {
    "block_count": (400, "tensors of 4 layers"),
    "attention.head_count": (1 << 31, "allowed: a whole number"),
    "embedding_length": (1 << 20, "does not agree with the embedding"),
    "attention.key_length": (4096, "should have the shape|cannot build|cannot be made"),
    "context_length": (1 << 31, "allowed: a whole number"),
    "expert_count": (4, "lacks tensors"),
    "attention.layer_norm_rms_epsilon": ("small", "allowed: a number"),
}
NOUGHTS = ("attention.head_count", "attention.key_length")
MUTANTS = ("llama", "deepseek_v3", "gemma3n", "mamba2", "qwen3_5", "falcon-40b", "nemotron_h", "bert",
           "laguna", "hrm_text", "deepseek_v4", "dots3_note")  # fmt: skip
VALUES = st.one_of(
    st.sampled_from([0, 1, 3, 7, 1 << 16, (1 << 32) - 1]), st.booleans(), st.floats(width=32, allow_nan=False),
    st.text("abc", max_size=5), st.lists(st.integers(0, 9), min_size=1, max_size=6),
)  # fmt: skip


def rewritten(row: str, path: Path, changes: dict[str, Any]) -> str:
    """The file of a row with other metadata."""
    arch, model = MODELS[row][0], model_of(row)
    writer = gguf.GGUFWriter(path, changes.get("architecture", arch))
    for key, value in (metadata(arch, row, model.config) | changes).items():
        if key != "architecture":
            put(writer, f"{arch}.{key}", value)
    vocabulary(writer, row)
    for name, tensor in stacked(converted(arch, row, model)).items():
        writer.add_tensor(name, np.ascontiguousarray(tensor.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


@pytest.mark.parametrize("key", sorted(CHANGED))
def test_what_is_wrong_is_named(key: str, tmp_path: Path, at_once: Any) -> None:
    value, said = CHANGED[key]
    source = rewritten("llama", tmp_path / "hostile.gguf", {key: value})
    with at_once(20), pytest.raises(NexusError, match=said) as caught:
        loaded(Gguf()._checkpoint(source))
    assert "hostile.gguf" in str(caught.value)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=r"'notamodel' \(unknown\)"):
        Gguf().inspect(rewritten("llama", tmp_path / "hostile.gguf", {"architecture": "notamodel"}))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.sampled_from(MUTANTS), data=st.data())
def test_any_value_anywhere_is_opened_or_refused(row: str, data: Any, tmp_path: Path) -> None:
    known = metadata(MODELS[row][0], row, model_of(row).config)
    key, value = data.draw(st.sampled_from(sorted(known))), data.draw(VALUES)
    said = ""
    try:
        loaded(Gguf()._checkpoint(rewritten(row, tmp_path / "mutant.gguf", {key: value})))
    except NexusError as error:
        said = str(error)
    assert not said or "mutant.gguf" in said


@pytest.mark.parametrize("key", NOUGHTS)
def test_a_nought_that_a_class_fails_on_is_named(key: str, tmp_path: Path) -> None:
    source = rewritten("llama", tmp_path / "nought.gguf", {key: 0})
    with pytest.raises(NexusError, match=rf"Look at what is 0: llama\.{key}\."):
        loaded(Gguf()._checkpoint(source))
