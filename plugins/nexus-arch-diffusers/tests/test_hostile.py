"""Folders that are wrong, cut short or meant ill: each is refused in words, nothing of them runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_arch_diffusers.architecture import Diffusers
from nexus_arch_diffusers.catalogue import models, pipelines, rows
from nexus_specs import Installed, NexusError
from safetensors.torch import load_file, save_file

Edited = Callable[..., Path]


def setting(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda data: {**data, **values}


INDICES: list[tuple[Any, str]] = [
    (lambda _: "{not json", "is not JSON"),
    (lambda _: [1, 2], "holds a list"),
    (lambda _: "[" * 5000, "is not JSON"),
    (setting(_class_name="NoSuchPipeline"), "has none of that name"),
    (setting(_class_name="os.system"), "has none of that name"),
    (setting(_class_name=["my_module", "Pipeline"]), "has none of that name"),
    (setting(transformer=["my_module", "Model"]), "only diffusers and transformers are trusted"),
    (setting(transformer=["os", "system"]), "only diffusers and transformers are trusted"),
    (setting(transformer=["transformers", "pipeline"]), "no model, tokenizer, processor or scheduler"),
    (setting(transformer=["diffusers", "__builtins__"]), "no model, tokenizer, processor or scheduler"),
    (setting(transformer=["diffusers", "DiffusionPipeline"]), "no model, tokenizer, processor or scheduler"),
]


@pytest.mark.parametrize(("change", "words"), INDICES)
def test_a_bad_index_is_refused(change: Any, words: str, edited: Edited) -> None:
    place = edited("sd3", "model_index.json", change)
    assert Diffusers().match(str(place)) == 2
    with pytest.raises(NexusError, match=words):
        Diffusers().inspect(str(place))


def test_code_beside_a_checkpoint_is_never_run(edited: Edited) -> None:
    place = edited("sd3", "model_index.json", setting(transformer=["my_module", "Model"]))
    (place / "transformer" / "my_module.py").write_text("raise SystemExit('ran')")
    (place / "my_module.py").write_text("raise SystemExit('ran')")
    with pytest.raises(NexusError, match="never run"):
        Diffusers().inspect(str(place))


CONFIGS: list[tuple[Any, str]] = [
    (setting(num_attention_heads=None), r"Look at num_attention_heads = null \(the class has 18\)\. Fetch"),
    (setting(patch_size=[0]), r"Look at patch_size = \[0\] \(the class has 2\)"),
    (setting(num_layers=10**9), "at most"),
    (setting(num_layers=10**400), "at most"),
    (setting(attention_head_dim=1 << 40), "at most"),
    (setting(in_channels=-(1 << 40)), "at most"),
    (setting(pos_embed_max_size=16000, num_attention_heads=64, attention_head_dim=64), "table"),
    (setting(dual_attention_layers=list(range(9000))), "no model has so many"),
    (setting(num_layers="many"), "cannot make"),
    (setting(_class_name="StableDiffusion3Pipeline"), "no such model"),
    (setting(_class_name="evil"), "no such model"),
    (setting(num_attention_heads=2), "Fetch both from one place"),
]


@pytest.mark.parametrize(("change", "words"), CONFIGS)
def test_a_bad_configuration_is_refused(change: Any, words: str, edited: Edited) -> None:
    place = edited("sd3", "transformer/config.json", change)
    with pytest.raises(NexusError, match=words):
        Diffusers().inspect(f"{place}#transformer")


def test_a_deep_configuration_is_refused(edited: Edited) -> None:
    nested: Any = 1
    for _ in range(50):
        nested = [nested]
    with pytest.raises(NexusError, match="deep"):
        Diffusers().inspect(f"{edited('sd3', 'transformer/config.json', setting(extra=nested))}#transformer")


def test_pickles_are_refused_with_the_way_out(saved: Callable[[str], Path], tmp_path: Path) -> None:
    place = tmp_path / "sd15"
    shutil.copytree(saved("sd15"), place)
    weights = place / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    words = r"pickles[\s\S]*diffusers\.UNet2DConditionModel\.from_pretrained[\s\S]*save_pretrained"
    with pytest.raises(NexusError, match=words):
        Diffusers().inspect(f"{place}#unet")


@pytest.mark.parametrize("damage", ["cut", "gone", "shard", "outside", "header"])
def test_damaged_weights_are_named(damage: str, saved: Callable[[str], Path], tmp_path: Path) -> None:
    place = tmp_path / "sd3"
    shutil.copytree(saved("sd3"), place)
    folder = place / "transformer"
    shards = sorted(folder.glob("*.safetensors"))
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    if damage == "cut":
        shards[0].write_bytes(shards[0].read_bytes()[:-64])
    elif damage == "header":
        shards[0].write_bytes((1 << 60).to_bytes(8, "little") + b"x" * 64)
    elif damage == "shard":
        shards[0].unlink()
    elif damage == "outside":
        index.write_text(json.dumps({"weight_map": {"a": "../../../../etc/passwd"}}))
    else:
        for file in (*shards, index):
            file.unlink()
    words = {"cut": "shorter than", "gone": "no weights", "shard": "lacks", "outside": "outside its folder",
             "header": "header"}  # fmt: skip
    with pytest.raises(NexusError, match=words[damage]):
        Diffusers().open(f"{place}#transformer", Installed())
    if damage != "gone":                                    # configurations alone are described
        with pytest.raises(NexusError, match=words[damage]):
            Diffusers().inspect(f"{place}#transformer")


@pytest.mark.parametrize("damage", ["gone", "elsewhere", "more"])
def test_an_index_of_another_checkpoint_is_refused(damage: str, saved: Callable[[str], Path], tmp_path: Path) -> None:
    place = tmp_path / "sd3"
    shutil.copytree(saved("sd3"), place)
    index = place / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    said = json.loads(index.read_text())
    key = next(iter(said["weight_map"]))
    if damage == "gone":
        del said["weight_map"][key]
    elif damage == "elsewhere":
        files = set(said["weight_map"].values())
        said["weight_map"][key] = next(iter(files - {said["weight_map"][key]}))
    else:
        said["weight_map"]["another.weight"] = said["weight_map"][key]
    index.write_text(json.dumps(said))
    if damage == "elsewhere":                               # read where it lies, as diffusers does
        assert Diffusers().open(f"{place}#transformer", Installed()).parts
        return
    words = {"gone": "has no entry for the tensor", "more": "lacks the tensor"}
    with pytest.raises(NexusError, match=words[damage]):
        Diffusers().open(f"{place}#transformer", Installed())


@pytest.mark.parametrize("damage", ["overlap", "behind"])
def test_headers_that_no_library_reads(damage: str, saved: Callable[[str], Path], tmp_path: Path) -> None:
    """Two tensors of the same bytes would be one another's values."""
    place = tmp_path / "sd3"
    shutil.copytree(saved("sd3"), place)
    file = sorted((place / "transformer").glob("*.safetensors"))[0]
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    by_shape: dict[str, list[str]] = {}
    for key, entry in header.items():
        if "shape" in entry:
            by_shape.setdefault(str(entry["shape"]), []).append(key)
    one, other = next(keys for keys in by_shape.values() if len(keys) > 1)[:2]
    if damage == "overlap":
        header[one]["data_offsets"] = header[other]["data_offsets"]
    text = json.dumps(header).encode()
    more = b"x" * 64 if damage == "behind" else b""
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :] + more)
    words = {"overlap": "has a damaged header", "behind": "bytes behind its last tensor"}
    with pytest.raises(NexusError, match=words[damage]):
        Diffusers().open(f"{place}#transformer", Installed())


def test_scales_of_a_quantiser_that_nothing_names(saved: Callable[[str], Path], tmp_path: Path) -> None:
    """What ComfyUI writes: floats of eight bits, and what multiplies them beside them."""
    place = tmp_path / "sd3"
    shutil.copytree(saved("sd3"), place)
    file = sorted((place / "transformer").glob("*.safetensors"))[0]
    stored = load_file(file)
    key = next(key for key, each in stored.items() if each.ndim == 2 and key.endswith(".weight"))
    save_file(stored | {key: stored[key].to(torch.float8_e4m3fn)}, file)
    Diffusers().open(f"{place}#transformer", Installed())
    index = file.parent / "diffusion_pytorch_model.safetensors.index.json"
    scale = key.replace(".weight", ".scale_weight")
    save_file(load_file(file) | {scale: torch.tensor(0.5)}, file)
    said = json.loads(index.read_text())
    said["weight_map"][scale] = file.name
    index.write_text(json.dumps(said))
    with pytest.raises(NexusError, match=rf"'{key}' in floats of eight bits with a scale, '{scale}', beside it"):
        Diffusers().open(f"{place}#transformer", Installed())


def test_missing_components_are_reported(saved: Callable[[str], Path], tmp_path: Path) -> None:
    place = tmp_path / "sd3"
    shutil.copytree(saved("sd3"), place)
    shutil.rmtree(place / "text_encoder_3")
    assert Diffusers().inspect(str(place)).missing == ("text_encoder_3/",)
    with pytest.raises(NexusError, match="lacks text_encoder_3/"):
        Diffusers().open(str(place), Installed()).skeleton()


def test_a_quantiser_that_is_not_read_is_refused(edited: Edited) -> None:
    place = edited("sd3", "transformer/config.json", setting(quantization_config={"quant_method": "torchao"}))
    assert Diffusers().inspect(f"{place}#transformer").quantisation == "torchao"
    with pytest.raises(NexusError, match="packed by 'torchao', which is not read; awq, bitnet, bitsandbytes"):
        Diffusers().open(f"{place}#transformer", Installed())


@pytest.mark.parametrize(
    ("fragment", "words"),
    [
        ("nothing", "has no component"), ("../sd3/vae", "has no component"), ("timesteps=a", "sets timesteps=a"),
        ("timesteps=", "sets timesteps="), ("height=0", "a number from 1"), ("colour=red", "does not know"),
        ("vae=maybe", "on or off"), ("timesteps=nan", "timesteps"), ("scheduler", "has no component"),
    ],
)  # fmt: skip
def test_a_bad_fragment_is_refused(fragment: str, words: str, saved: Callable[[str], Path]) -> None:
    with pytest.raises(NexusError, match=words):
        Diffusers().inspect(f"{saved('sd3')}#{fragment}")


@pytest.mark.parametrize("steps", [100_000_000, "x", True], ids=str)
def test_a_schedulers_tables_are_bounded(steps: Any, edited: Callable[..., Path]) -> None:
    place = edited("sd3", "scheduler/scheduler_config.json", setting(num_train_timesteps=steps))
    with pytest.raises(NexusError, match=r"scheduler_config\.json' sets num_train_timesteps = .*at most 65,536"):
        Diffusers().inspect(str(place))


def test_foreign_folders_are_not_claimed(tmp_path: Path) -> None:
    loader = Diffusers()
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    assert loader.match(str(tmp_path)) == 0
    (tmp_path / "config.json").write_text('{"_class_name": 3, "_diffusers_version": "0.1"}')
    assert loader.match(str(tmp_path)) == 0
    assert loader.match("#transformer") == 0
    with pytest.raises(NexusError, match="neither"):
        loader.inspect(str(tmp_path))


def test_match_and_catalogue_leave_torch_out() -> None:
    assert len(models()) > 120
    assert len(pipelines()) > 250
    names = {row["name"] for row in rows()}
    assert {"SD3Transformer2DModel", "StableVideoDiffusionPipeline", "UNet2DConditionModel"} <= names
    code = (
        "import sys; from nexus_arch_diffusers.architecture import Diffusers as D; D().match('.');"
        "from nexus_arch_diffusers.catalogue import rows; rows();"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_catalogue_is_what_diffusers_exports() -> None:
    import diffusers

    exported = set(dir(diffusers))
    assert exported.issuperset(models())
    assert exported.issuperset(pipelines())


def test_results_are_joined() -> None:
    streams = {row["name"]: row["streams"] for row in rows()}
    assert streams["SD3Transformer2DModel"] == streams["UNetSpatioTemporalConditionModel"] == "verified"
    assert list(streams.values()).count("verified") > 80
