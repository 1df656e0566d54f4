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
    "sparse": ("awq", {"quant_method": "compressed-tensors", "sparsity_config": {"format": "sparse-24-bitmask"}},
        "in the format 'sparse-24-bitmask', which is not read; dense,"),
    "another": ("awq", {"quant_method": "auto-round"}, "packed by 'auto-round', which is not read; awq, bitnet,"),
}  # fmt: skip


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


def config_of(folder: Path, **fields: Any) -> str:
    """The folder, its config.json with these fields and without those that are None."""
    config = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps({name: each for name, each in config.items() if each is not None}))
    return str(folder)


def test_floats_of_eight_bits_with_a_scale_and_no_word_of_a_quantiser(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """ModelOpt writes that into a file of its own: without the scale the values would be others."""
    pack(checkpoint_folder("llama"), tmp_path / "packed", "fp8")
    source = config_of(tmp_path / "packed", quantization_config=None)
    with pytest.raises(NexusError, match=r"in floats of eight bits with a scale, .*config.json names no quantisation"):
        Transformers().open(source, Installed())
    file = tmp_path / "packed" / "model.safetensors"
    save_file({key: each for key, each in load_file(file).items() if "scale" not in key}, file)
    Transformers().open(source, Installed())
    source = config_of(tmp_path / "packed", quantization_config={"fmt": "e4m3"})
    with pytest.raises(NexusError, match=r"config.json does not name by what \(quant_method\)"):
        Transformers().open(source, Installed())


def test_scales_of_weights_in_whole_precision(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """llm-compressor leaves them beside weights that it saves uncompressed."""
    pack(checkpoint_folder("llama"), tmp_path / "packed", "fp8")
    file = tmp_path / "packed" / "model.safetensors"
    stored = load_file(file)
    save_file({key: each.bfloat16() if each.element_size() == 1 else each for key, each in stored.items()}, file)
    with pytest.raises(NexusError, match=r"in BF16 with a scale beside it: .* whether it was multiplied already"):
        Transformers().open(str(tmp_path / "packed"), Installed())


@pytest.mark.parametrize(("location", "read"), [("weight_input", True), ("input", False), ("k_cache", False)])
def test_states_that_are_turned_as_they_pass(
    location: str, read: bool, checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    pack(checkpoint_folder("llama"), tmp_path / "packed", "compressed")
    apply = [{"targets": ["Linear"], "location": location}]
    source = changed(tmp_path / "packed", transform_config={"config_groups": {"R4": {"type": "h", "apply": apply}}})
    if read:
        Transformers().open(source, Installed())
        return
    with pytest.raises(NexusError, match=rf"states that are turned as they pass \({location}\), which is not read"):
        Transformers().open(source, Installed())


@pytest.mark.parametrize(
    ("method", "field", "without"), [("compressed", "compression_config", ()), ("nf4", "", ("quant_method",))]
)
def test_what_quantisers_wrote_before(
    method: str, field: str, without: tuple[str, ...], checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """The older name of a field, and settings of bitsandbytes that do not name it."""
    pack(checkpoint_folder("llama"), tmp_path / "packed", method)
    said = json.loads((tmp_path / "packed" / "config.json").read_text())["quantization_config"]
    left = {name: each for name, each in said.items() if name not in without} | {"load_in_4bit": True}
    config_of(tmp_path / "packed", quantization_config=None)
    source = config_of(tmp_path / "packed", **{field or "quantization_config": left})
    assert Transformers().open(source, Installed()).blueprint.quantisation == said["quant_method"]


def test_a_quantiser_that_is_named_beside_the_configuration(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """As ModelOpt's first checkpoints name it; its other ways are refused by name."""
    pack(checkpoint_folder("llama"), tmp_path / "packed", "nvfp4")
    config = json.loads((tmp_path / "packed" / "config.json").read_text())
    config.pop("quantization_config")
    (tmp_path / "packed" / "config.json").write_text(json.dumps(config))
    beside = tmp_path / "packed" / "hf_quant_config.json"
    source = str(tmp_path / "packed")
    for algorithm in ("NVFP4", "W4A16_AWQ"):
        said = {"quantization": {"quant_algo": algorithm, "group_size": 16, "exclude_modules": ["lm_head"]}}
        beside.write_text(json.dumps({"producer": {"name": "modelopt"}} | said))
        if algorithm == "NVFP4":
            assert Transformers().inspect(source).quantisation == "modelopt"
            Transformers().open(source, Installed())
    with pytest.raises(NexusError, match=f"packed by 'modelopt' in 'W4A16_AWQ', which is not read; .*{WHAT_TO_DO}"):
        Transformers().open(source, Installed())
    beside.write_text("{")
    with pytest.raises(NexusError, match=r"hf_quant_config\.json' is no JSON"):
        Transformers().open(source, Installed())
