"""A config.json that does not belong to its weights: said from the headers, before anything is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError


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
