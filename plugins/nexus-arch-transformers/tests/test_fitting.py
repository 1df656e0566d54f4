"""A config.json that does not belong to its weights: said from the headers, before anything is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError
from nexus_torch.files import read_tensors
from safetensors.torch import save_file


@pytest.fixture
def altered(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., str]:
    """The checkpoint of a tiny Llama with other numbers in its configuration."""

    def make(**values: int) -> str:
        home = tmp_path / "altered"
        shutil.copytree(checkpoint_folder("llama"), home)
        told = json.loads((home / "config.json").read_text())
        (home / "config.json").write_text(json.dumps(told | values))
        return str(home)

    return make


def test_another_width_is_named_with_both_shapes(altered: Callable[..., str]) -> None:
    source, said = altered(intermediate_size=56), r"'model\.layers\.0\.mlp\.\w+\.weight' of 'altered' has the shape"
    for ask in (Transformers().inspect, lambda source: Transformers().open(source, Installed())):
        with pytest.raises(NexusError, match=said + r" \(.*expects \("):
            ask(source)


def test_layers_without_weights_are_missing(altered: Callable[..., str]) -> None:
    missing = Transformers().inspect(altered(num_hidden_layers=8)).missing
    assert "weights of model.layers.3, model.layers.4, model.layers.5 and 2 more" in missing


def test_weights_beyond_the_configuration_are_left_out(altered: Callable[..., str]) -> None:
    found = Transformers().inspect(altered(num_hidden_layers=2))
    assert [stack.count for stack in found.stacks] == [2]
    assert not any(each.startswith("weights") for each in found.missing)


def test_a_tied_pair_of_which_both_are_stored_is_not_tied(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path, loaded: Any
) -> None:
    """A head that was trained further, beside a configuration that still says it is the embedding: both count, as
    transformers has it."""
    home = tmp_path / "tied"
    shutil.copytree(checkpoint_folder("tied"), home)
    weights = read_tensors(home / "model.safetensors")
    torch.manual_seed(1)
    weights["lm_head.weight"] = torch.randn_like(weights["model.embed_tokens.weight"])
    save_file(weights, home / "model.safetensors", {"format": "pt"})
    checkpoint = Transformers().open(str(home), Installed())
    theirs = hf.LlamaForCausalLM.from_pretrained(home).eval()
    ids = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(loaded(checkpoint)(input_ids=ids).logits, theirs(input_ids=ids).logits)
    assert Transformers().inspect(str(home)).parameters == sum(each.numel() for each in weights.values())
    alike = Transformers().inspect(str(checkpoint_folder("tied")))
    assert alike.parameters == sum(each.numel() for each in theirs.parameters()) - weights["lm_head.weight"].numel()


def test_measured_buffers_that_no_file_holds_are_missing(tmp_path: Path) -> None:
    """Means and deviations of batches are constants until they are loaded: without them the model gives something else,
    without a word."""
    config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], num_labels=2)
    hf.ResNetForImageClassification(config).save_pretrained(tmp_path)
    assert Transformers().inspect(str(tmp_path)).missing == ("preprocessor_config.json",)
    weights = read_tensors(tmp_path / "model.safetensors")
    gone = [name for name in sorted(weights) if name.endswith("running_mean")][:1]
    save_file({name: each for name, each in weights.items() if name not in gone}, tmp_path / "model.safetensors")
    found = Transformers().inspect(str(tmp_path))
    assert found.missing[0] == f"weights {gone[0]}"
    assert found.weightless


def test_whole_numbers_in_the_place_of_weights_are_refused(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    home = tmp_path / "whole"
    shutil.copytree(checkpoint_folder("llama"), home)
    weights = read_tensors(home / "model.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    weights[name] = weights[name].to(torch.int32)
    save_file(weights, home / "model.safetensors", {"format": "pt"})
    for ask in (Transformers().inspect, lambda source: Transformers().open(source, Installed())):
        with pytest.raises(NexusError, match=rf"{name}.*stored as whole numbers \(I32\).*model\.safetensors"):
            ask(str(home))
