"""A file with a huge vocabulary is described without it: the tokenizer is built when somebody reads texts with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf_files.metadata import metadata
from gguf_files.tensors import converted, stacked
from gguf_files.tiny import MODELS, model_of
from gguf_files.writing import put
from nexus_arch_gguf.architecture import Gguf
from nexus_specs import Installed, NexusError
from nexus_torch.text import tokenizer_hash
from transformers import PreTrainedTokenizerFast

MEMORY = 64 << 20
WORDS = 720_000
MEASURED = """
import sys
from pathlib import Path
from nexus_arch_gguf.architecture import Gguf
from nexus_specs import NexusError
told = lambda name: 1024 * int(Path("/proc/self/status").read_text().partition(name + ":")[2].split()[0])
Gguf().inspect(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")
before = told("VmRSS")
try:
    said = Gguf().inspect(sys.argv[2]).tokenizer
except NexusError:
    said = "refused"
print(told("VmHWM") - before, said or "none")
"""
"""What the second file takes at most, in a process that has looked at the first: VmHWM begins anew there."""


def large(path: Path, words: int, *, kind: str = "gpt2", layers: int = 0) -> Path:
    """A decoder whose metadata hold so many tokens; `layers` tensors of one number more, each named as a layer's."""
    model = model_of("llama")
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in metadata(MODELS["llama"][0], "llama", model.config).items():
        put(writer, f"llama.{key}", layers if layers and key == "block_count" else value)
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"{number:06}" for number in range(words)])
    if kind == "gpt2":
        writer.add_token_merges([])
    for name, tensor in stacked(converted("llama", "llama", model)).items():
        writer.add_tensor(name, np.ascontiguousarray(tensor.detach().float().numpy()))
    for number in range(100, 100 + layers):
        writer.add_tensor(f"blk.{number}.attn_norm.weight", np.zeros(1, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def grown(small: Path, path: Path) -> tuple[int, str]:
    """Bytes by which a process grows that inspects a file, and what it says of the tokenizer."""
    command = [sys.executable, "-c", MEASURED, str(small), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    growth, said = done.stdout.split()[-2:]
    return int(growth), said


def test_a_huge_vocabulary_is_not_built_to_be_described(tmp_path: Path, written: Callable[..., Path]) -> None:
    growth, said = grown(written("llama"), large(tmp_path / "large.gguf", WORDS))
    assert said.startswith("files:")
    assert growth < MEMORY


def test_one_that_no_tokenizer_is_built_of_is_missing(tmp_path: Path) -> None:
    found = Gguf().inspect(str(large(tmp_path / "large.gguf", 100_000, kind="rwkv")))
    assert found.tokenizer == ""
    assert "tokenizer.ggml (metadata of the file)" in found.missing


def test_whoever_opens_it_has_the_tokenizer_itself(tmp_path: Path) -> None:
    """The name by its files is the same for the same words, and another for others; what is open says which words."""
    sizes = {"a": 60_000, "b": 60_000, "c": 60_001}
    one, same, other = (large(tmp_path / f"{name}.gguf", count) for name, count in sizes.items())
    told = [Gguf().inspect(str(path)).tokenizer for path in (one, same, other)]
    assert told[0] == told[1] != told[2]
    checkpoint = Gguf().open(str(one), Installed())
    exact = checkpoint.blueprint.tokenizer
    assert exact == tokenizer_hash(checkpoint.preprocessor.tokenizer)  # type: ignore[attr-defined]
    assert not exact.startswith("files:")
    assert len(checkpoint.preprocessor.tokenizer) == 60_000  # type: ignore[attr-defined]


def test_layers_beyond_all_reason_are_refused_at_once(tmp_path: Path, at_once: Any) -> None:
    path = large(tmp_path / "deep.gguf", 10, layers=2000)
    said = r"llama\.block_count' is 2000; allowed: a whole number from 0 to 512"
    with at_once(3), pytest.raises(NexusError, match=said):
        Gguf().inspect(str(path))


def test_the_classes_that_make_tensors_are_named(written: Callable[..., Path]) -> None:
    assert Gguf().inspect(str(written("llama"))).processors == {
        "tokenizer": PreTrainedTokenizerFast.__name__
    }
