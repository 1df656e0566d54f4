"""Every architecture: a tiny random model, written by the tests, opened by the loader, against the model itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf_files.reading import differences, outputs
from gguf_files.tiny import MODELS
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.catalogue import classes, names
from nexus_arch_gguf.layouts import LAYOUTS
from nexus_specs import Installed

QUANTISED = ("llama", "qwen3_moe", "gemma3", "deepseek_v3", "bert", "t5-v1_1", "mamba2", "qwen3_5")
STEPS = {"Q8_0": 127, "Q4_0": 8}
"""Type -> steps on one side of zero: a block of largest value A is stored in steps of A / that."""


@pytest.mark.parametrize("row", sorted(MODELS))
def test_exact_in_float32(row: str, written: Callable[..., Path], model: Any, loaded: Any) -> None:
    checkpoint = Gguf().open(str(written(row)), Installed())
    module, tensors = loaded(checkpoint)
    expected = model(row)
    wrong = {name: each for name, each in differences(expected.state_dict(), tensors).items() if each > 1e-6}
    assert not wrong
    assert float((outputs(module) - outputs(expected)).abs().max()) <= 1e-6


@pytest.mark.parametrize("kind", sorted(STEPS))
@pytest.mark.parametrize("row", QUANTISED)
def test_within_the_error_of_the_type(
    row: str, kind: str, written: Callable[..., Path], model: Any, loaded: Any
) -> None:
    checkpoint = Gguf().open(str(written(row, kind)), Installed())
    assert checkpoint.blueprint.quantisation == kind.lower()
    module, tensors = loaded(checkpoint)
    expected = model(row).state_dict()
    for name, error in differences(expected, tensors).items():
        assert error <= float(expected[name].abs().max()) / STEPS[kind] * 1.01 + 1e-6, name
    assert torch.isfinite(outputs(module)).all()


def test_every_layout_is_checked() -> None:
    assert set(LAYOUTS) == {arch for arch, _, _ in MODELS.values()}
    assert set(LAYOUTS) <= names()


def test_the_catalogue_knows_what_the_table_says() -> None:
    heads = classes()
    assert set(heads) == set(LAYOUTS)
    for arch, head, _ in MODELS.values():
        assert head in heads[arch] or head in EQUAL, (arch, head)


EQUAL = {"MistralForCausalLM", "CamembertModel", "Qwen2_5_VLForConditionalGeneration"}
"""Classes that another class of the same architecture computes alike: the file does not say which it was."""


LAYERS = {"llama": 4, "qwen3_moe": 4, "gemma3n": 5, "t5": 6, "mamba2": 4}


@pytest.mark.parametrize("row", sorted(LAYERS))
def test_blueprint_counts_what_the_model_has(row: str, written: Callable[..., Path], model: Any) -> None:
    found, expected = Gguf().inspect(str(written(row))), model(row)
    assert found.parameters == sum(parameter.numel() for parameter in expected.parameters())
    assert found.head == type(expected).__name__
    assert found.dtype == "F32"
    assert not found.quantisation
    assert sum(stack.count for stack in found.stacks) == LAYERS[row]
    assert found.takes == ("text",)
