"""What is packed in a way that is not read is refused by name, before any weight is read, with what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError
from packed_files.writing import pack
from safetensors.torch import load_file, save_file

WHAT_TO_DO = r"Fetch the checkpoint as it was before it was packed, or packed in one of these ways\."
FORMS: dict[str, tuple[str, dict[str, Any], str]] = {
    "marlin": ("gptq", {"checkpoint_format": "marlin"}, "in the format 'marlin' with 4 bits, which is not read; gptq"),
    "marlin, older": ("gptq", {"is_marlin_format": True}, "in the format 'marlin'"),
    "planar": ("gptq", {"checkpoint_format": "gptq_p", "bits": 3}, "in the format 'gptq_p' with 3 bits"),
    "five bits": ("gptq", {"bits": 5}, "with 5 bits, which is not read; gptq and gptq_v2 with 2, 3, 4, 8 bits are"),
    "gemv": ("awq", {"version": "gemv"}, "in the version 'gemv' with 4 bits, which is not read; 'gemm' with 4 bits is"),
    "eight bits of awq": ("awq", {"bits": 8}, "in the version 'gemm' with 8 bits"),
    "another": ("awq", {"quant_method": "auto-round"}, "packed by 'auto-round', which is not read; awq, bitsandbytes,"),
}


def changed(folder: Path, **more: Any) -> str:
    """The folder, its quantisation with other settings."""
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] |= more
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_quantiser_that_are_not_read(
    form: str, checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    method, settings, said = FORMS[form]
    pack(checkpoint_folder("llama"), tmp_path / "packed", method)
    source = changed(tmp_path / "packed", **settings)
    with pytest.raises(NexusError, match=f"{said}.*{WHAT_TO_DO}"):
        Transformers().open(source, Installed())
    blueprint = Transformers().inspect(source)
    assert blueprint.weightless, "described, and neither planned to run nor run"
    assert said in blueprint.missing[0]


STRANGE: dict[str, tuple[str, str, str]] = {
    "scale of scales": ("fp8", ".weight_scale_2", "beside a weight that is packed by 'fp8'"),
    "scale before": ("awq", ".pre_quant_scale", "beside a weight that is packed by 'awq'"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_tensor_beside_a_packed_weight_that_nothing_here_reads(
    name: str, checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    method, ending, said = STRANGE[name]
    pack(checkpoint_folder("llama"), tmp_path / "packed", method)
    file = tmp_path / "packed" / "model.safetensors"
    stored = load_file(file)
    path = "model.layers.0.self_attn.q_proj"
    save_file(stored | {f"{path}.input_scale": torch.ones(1)}, file)
    Transformers().open(str(tmp_path / "packed"), Installed())
    save_file(stored | {f"{path}{ending}": torch.ones(1)}, file)
    with pytest.raises(NexusError, match=f"'{path}{ending}' {said}.*{WHAT_TO_DO}"):
        Transformers().open(str(tmp_path / "packed"), Installed())


def test_floats_of_eight_bits_without_a_scale(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    pack(checkpoint_folder("llama"), tmp_path / "packed", "fp8")
    file = tmp_path / "packed" / "model.safetensors"
    stored = load_file(file)
    key = "model.layers.1.mlp.down_proj.weight"
    del stored[f"{key}_scale_inv"]
    save_file(stored, file)
    with pytest.raises(NexusError, match=f"'{key}' in floats of eight bits, with no scale"):
        Transformers().open(str(tmp_path / "packed"), Installed())


def test_words_of_another_length(
    loaded: Callable[[Any], Any], checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    pack(checkpoint_folder("llama"), tmp_path / "packed", "gptq")
    file = tmp_path / "packed" / "model.safetensors"
    stored = load_file(file)
    key = next(key for key in sorted(stored) if key.endswith(".qweight"))
    save_file(stored | {key: stored[key].view(torch.int16).clone()}, file)
    with pytest.raises(NexusError, match=r"lies in words of torch\.int16, which are not int32"):
        loaded(Transformers().open(str(tmp_path / "packed"), Installed()))
