"""Configurations alone: what a pipeline or a model would be, what its weights take, and all that is missing at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from nexus_arch_diffusers.architecture import Diffusers
from nexus_specs import Installed, NexusError


@pytest.fixture(params=["sd3", "svd"])
def pair(request: pytest.FixtureRequest, saved: Callable[[str], Path], tmp_path: Path) -> tuple[Path, Path]:
    """A pipeline, and a copy of it without weights."""
    whole = saved(request.param)
    shutil.copytree(whole, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors*"))
    return whole, tmp_path / "bare"


def test_a_pipeline_is_described_by_its_configurations(pair: tuple[Path, Path]) -> None:
    whole, bare = (Diffusers().inspect(str(each)) for each in pair)
    models = sorted({stack.path.partition(".")[0] for stack in whole.stacks})
    assert sorted(bare.missing) == [f"weights of {name}/ (*.safetensors)" for name in models]
    assert bare.weightless
    assert [replace(each, dtype="") for each in bare.stacks] == [replace(each, dtype="") for each in whole.stacks]
    assert replace(bare, missing=(), stacks=(), bytes=0) == replace(whole, stacks=(), bytes=0)
    assert bare.bytes == pytest.approx(whole.bytes, rel=0.01)
    with pytest.raises(NexusError, match=r"no weights \(\*\.safetensors\)"):
        Diffusers().open(str(pair[1]), Installed())


def test_one_model_of_it_too(pair: tuple[Path, Path]) -> None:
    name = "transformer" if (pair[0] / "transformer").is_dir() else "unet"
    whole, bare = (Diffusers().inspect(f"{each}#{name}") for each in pair)
    assert bare.missing == ("weights (*.safetensors)",)
    assert (bare.parameters, bare.takes, bare.stacks) == (whole.parameters, whole.takes, whole.stacks)
    assert Diffusers().inspect(str(pair[1] / name)).missing == bare.missing


def test_its_bytes_are_of_the_dtype_that_the_text_encoders_name(saved: Callable[[str], Path], tmp_path: Path) -> None:
    """The configurations of diffusers' own models say none."""
    bare = tmp_path / "bare"
    shutil.copytree(saved("sd3"), bare, ignore=shutil.ignore_patterns("*.safetensors*"))
    for place in bare.glob("text_encoder*/config.json"):
        values = json.loads(place.read_text())
        values.pop("dtype", None)
        place.write_text(json.dumps({**values, "torch_dtype": "bfloat16"}))
    found = Diffusers().inspect(str(bare))
    assert found.dtype == "BF16"
    assert found.bytes == pytest.approx(2 * found.parameters, rel=0.01)
    assert Diffusers().inspect(f"{bare}#transformer").bytes < found.bytes


def test_only_what_is_not_there_is_missing(saved: Callable[[str], Path], tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(saved("sd3"), part)
    for place in (part / "vae").glob("*.safetensors*"):
        place.unlink()
    shutil.rmtree(part / "tokenizer_2")
    found, whole = Diffusers().inspect(str(part)), Diffusers().inspect(str(saved("sd3")))
    assert found.missing == ("tokenizer_2/", "weights of vae/ (*.safetensors)")
    assert found.bytes == pytest.approx(whole.bytes, rel=0.01)


def test_a_download_that_was_cut_off_is_no_description(saved: Callable[[str], Path], tmp_path: Path) -> None:
    """An index that lists files which are not there."""
    part = tmp_path / "part"
    shutil.copytree(saved("sd3"), part, ignore=shutil.ignore_patterns("*.safetensors*"))
    index = part / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "diffusion_pytorch_model-00001-of-00002.safetensors"}}))
    with pytest.raises(NexusError, match="lacks diffusion_pytorch_model-00001-of-00002"):
        Diffusers().inspect(str(part))
