"""What lies beside a model: a configuration, other models, towers, factors of its weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_files.extras import extras
from gguf_files.metadata import metadata
from gguf_files.tensors import converted, stacked
from gguf_files.tiny import MODELS, model_of
from gguf_files.writing import put, vocabulary
from nexus_arch_gguf.architecture import Gguf
from nexus_specs import Installed, NexusError

DOWN, EXPERTS = "blk.1.ffn_down", "blk.1.ffn_down_exps"


def with_factor(row: str, path: Path, name: str, factor: Any) -> str:
    """The file of a row, with a stored factor beside a weight."""
    arch, model = MODELS[row][0], model_of(row)
    writer = gguf.GGUFWriter(path, arch)
    for key, value in metadata(arch, row, model.config.get_text_config()).items():
        put(writer, f"{arch}.{key}", value)
    vocabulary(writer, row)
    extras(writer, row, model)
    for key, tensor in stacked(converted(arch, row, model)).items():
        writer.add_tensor(key, np.ascontiguousarray(tensor.detach().float().numpy()))
    writer.add_tensor(f"{name}.scale", np.asarray(factor, dtype=np.float32))
    writer.add_tensor(f"{name}.input_scale", np.asarray([3], dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


def test_a_factor_beside_a_weight_is_part_of_it(tmp_path: Path, loaded: Any) -> None:
    """As llama.cpp writes the second scale of NVFP4 and that of BitNet."""
    checkpoint = Gguf().open(with_factor("llama", tmp_path / "one.gguf", DOWN, [2.0]), Installed())
    _, found = loaded(checkpoint)
    expected = model_of("llama").state_dict()
    name = "model.layers.1.mlp.down_proj.weight"
    torch.testing.assert_close(found[name], 2 * expected[name])
    torch.testing.assert_close(found[name.replace("1", "0")], expected[name.replace("1", "0")])


def test_experts_have_a_factor_each(tmp_path: Path, loaded: Any) -> None:
    name = "model.layers.1.mlp.experts.down_proj"
    expected = model_of("qwen3_moe").state_dict()[name]
    factors = np.arange(1, len(expected) + 1, dtype=np.float32)
    checkpoint = Gguf().open(with_factor("qwen3_moe", tmp_path / "all.gguf", EXPERTS, factors), Installed())
    _, found = loaded(checkpoint)
    torch.testing.assert_close(found[name], expected * torch.from_numpy(factors)[:, None, None])


def test_a_factor_of_another_size_is_refused(tmp_path: Path, loaded: Any) -> None:
    checkpoint = Gguf().open(with_factor("llama", tmp_path / "odd.gguf", DOWN, [1.0, 2.0, 3.0]), Installed())
    with pytest.raises(NexusError, match=r"the factor of 'blk\.1\.ffn_down\.weight' .* has 3 numbers; allowed: one"):
        loaded(checkpoint)


def test_a_model_is_found_beside_a_configuration(tmp_path: Path, written: Callable[..., Path]) -> None:
    """As repositories that are called "-GGUF" have it; with safetensors it is another loader's."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    shutil.copy(written("llama"), tmp_path / "model-Q8_0.gguf")
    shutil.copy(written("llama"), tmp_path / "model-mmproj-f16.gguf")
    assert Gguf().match(str(tmp_path)) == 2
    assert Gguf().inspect(str(tmp_path)).head == "LlamaForCausalLM"
    shutil.copy(written("llama"), tmp_path / "model-Q4_0.GGUF")
    with pytest.raises(NexusError, match=r"holds 2 GGUF models\. Name one, as .*model-Q4_0\.GGUF"):
        Gguf().inspect(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert Gguf().match(str(tmp_path)) == 0


def test_a_file_is_known_by_how_it_begins(tmp_path: Path, written: Callable[..., Path]) -> None:
    for name in ("MODEL.GGUF", "sha256-0123abcd"):
        shutil.copy(written("llama"), tmp_path / name)
        assert Gguf().match(str(tmp_path / name)) == 2
        assert Gguf().inspect(str(tmp_path / name)).head == "LlamaForCausalLM"


def test_a_renamed_split_says_what_it_was_called(tmp_path: Path, model: Any) -> None:
    from gguf_files.writing import write

    write("llama", model("llama"), tmp_path / "m.gguf", splits=14)
    first = min(tmp_path.glob("m-00001-of-*.gguf"))
    first.rename(tmp_path / "renamed.gguf")
    with pytest.raises(NexusError, match=r"is split 1 of \d+ of a model, and renamed.*Call it NAME-00001-of-"):
        Gguf().inspect(str(tmp_path / "renamed.gguf"))


def test_splits_in_each_others_place_are_refused(tmp_path: Path, model: Any) -> None:
    """Or of a model that was split otherwise, with the names that are missing."""
    from gguf_files.writing import write

    write("llama", model("llama"), tmp_path / "m.gguf", splits=14)
    first, second, third, *_ = sorted(tmp_path.iterdir())
    second.rename(tmp_path / "kept")
    third.rename(second)
    (tmp_path / "kept").rename(third)
    with pytest.raises(NexusError, match=r"00002-of-\d+\.gguf' does not belong .* 'split\.no' is 2, and this is split"):
        Gguf().inspect(str(first))
