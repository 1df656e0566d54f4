"""Files that hold no model are named for what they are, with what to name instead."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf_files.writing import put
from nexus_arch_gguf.architecture import Gguf
from nexus_specs import NexusError

KINDS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    # what it is: (architecture, metadata, a tensor, what is said)
    "lora": ("llama", {"general.type": "adapter", "adapter.type": "lora"}, "blk.0.attn_q.weight.lora_a",
        r"an adapter \(LORA\) for models of the architecture 'llama'.*adapter_config\.json"),
    "matrix": ("", {"general.type": "imatrix"}, "blk.0.attn_q.weight.in_sum2", "an importance matrix"),
    "directions": ("controlvector", {}, "direction.1", "a control vector"),
    "flux": ("flux", {}, "double_blocks.0.img_mod.lin.weight", r"an image or film generator \(flux\).*Diffusers"),
    "stable-diffusion.cpp": ("", {}, "model.diffusion_model.out.2.weight", "an image or film generator"),
    "vocabulary": ("llama", {"tokenizer.ggml.model": "gpt2"}, "", "no tensors, as vocabularies"),
    "nothing": ("", {}, "a.weight", "names no architecture"),
    "another": ("llama", {"general.type": "dance"}, "a.weight", "'general.type' is 'dance'"),
}  # fmt: skip


def file(path: Path, kind: str) -> Path:
    """The file."""
    architecture, metadata, tensor, _ = KINDS[kind]
    writer = gguf.GGUFWriter(path, architecture or "none")
    if not architecture:
        writer.kv_data[0].pop("general.architecture")
    for key, value in metadata.items():
        put(writer, key, value)
    if tensor:
        writer.add_tensor(tensor, np.zeros((1, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=rf"it\.gguf' is .*{KINDS[kind][3]}"):
        Gguf().inspect(str(file(tmp_path / "it.gguf", kind)))


@pytest.mark.parametrize(
    ("bytes_", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"), (b"<!DOCTYPE html>", "web page"),
        (b"lmgg\1\0\0\0", r"whisper\.cpp"), (b"\x20\0\0\0\0\0\0\0{}", "safetensors"), (b"", "is empty"),
    ],
)  # fmt: skip
def test_what_begins_otherwise_is_named(bytes_: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(bytes_)
    with pytest.raises(NexusError, match=rf"at byte 0: a GGUF file begins with b'GGUF', and this .*{said}"):
        Gguf().inspect(str(path))


def test_a_file_of_before_gguf_is_known_by_how_it_begins(tmp_path: Path) -> None:
    (tmp_path / "ggml-base.bin").write_bytes(b"lmgg" + bytes(60))
    assert Gguf().match(str(tmp_path / "ggml-base.bin")) == 2


@pytest.mark.parametrize("kind", ["lora", "matrix", "directions"])
def test_the_model_of_a_folder_is_found_beside_what_is_none(
    kind: str, tmp_path: Path, written: Callable[..., Path]
) -> None:
    """By the header: no name says it."""
    shutil.copy(written("llama"), tmp_path / "stories.gguf")
    file(tmp_path / "a.gguf", kind)
    assert Gguf().inspect(str(tmp_path)).head == "LlamaForCausalLM"


def test_a_folder_with_a_tower_alone_is_that_tower(tmp_path: Path, written: Callable[..., Path]) -> None:
    shutil.copy(written("llama"), tmp_path / "mmproj-F16.gguf")
    assert Gguf().match(str(tmp_path)) == 2


def test_a_choice_and_a_file_that_is_not_there(tmp_path: Path, written: Callable[..., Path]) -> None:
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(written("llama"), tmp_path / name)
    with pytest.raises(NexusError, match=r"holds 2 GGUF models\. Name one, as .*a\.gguf: a\.gguf, b\.gguf"):
        Gguf().match(str(tmp_path))
    with pytest.raises(NexusError, match=r"has no 'c\.gguf'\. Its GGUF files: a\.gguf, b\.gguf"):
        Gguf().match(str(tmp_path / "c.gguf"))


def test_the_activation_that_no_file_of_a_t5_names_is_told(
    tmp_path: Path, written: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of gates alone: without one every T5 has ReLU."""
    for row, told in (("umt5", 1), ("t5", 0)):
        Gguf().inspect(str(shutil.copy(written(row), tmp_path / f"{row}.gguf")))
        assert capsys.readouterr().err.count("does not say which activation stands before its gates") == told


def test_the_tower_beside_a_model_is_told(
    tmp_path: Path, written: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is known by its header. Of a folder with several models nothing says whose it is."""
    shutil.copy(written("clip_vision"), tmp_path / "eyes.gguf")
    model = shutil.copy(written("llama"), tmp_path / "words.gguf")
    assert Gguf().inspect(str(tmp_path)).takes == ("text",)
    assert "words.gguf' is the text part alone: what sees or hears for it lies in eyes.gguf" in capsys.readouterr().err
    shutil.copy(model, tmp_path / "others.gguf")
    Gguf().inspect(str(tmp_path / "others.gguf"))
    assert not capsys.readouterr().err


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
def test_what_is_called_so_and_is_no_file(make: Callable[[Path], None], tmp_path: Path, written: Any) -> None:
    """A pipe is not waited for; beside a model it is none."""
    make(tmp_path / "a.gguf")
    with pytest.raises(NexusError, match=r"a\.gguf' is no file"):
        Gguf().inspect(str(tmp_path))
    shutil.copy(written("llama"), tmp_path / "b.gguf")
    assert Gguf().inspect(str(tmp_path)).head == "LlamaForCausalLM"
