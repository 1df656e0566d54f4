"""Every architecture: a tiny random model, written by the tests, opened by the loader, against the model itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf_files.newer import NEWER
from gguf_files.reading import differences, errors, outputs
from gguf_files.tiny import MODELS
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.catalogue import REASONS, classes, names, rows, streaming
from nexus_arch_gguf.layouts import LAYOUTS
from nexus_arch_gguf.names import LIKE
from nexus_specs import Installed, NexusError, Sample

QUANTISED = ("llama", "qwen3_moe", "gemma3", "deepseek_v3", "bert", "t5-v1_1", "mamba2", "qwen3_5")
KINDS = ("Q8_0", "Q4_0")
DAILY = frozenset({
    *NEWER, "apertus", "bert", "bloom", "camembert", "chameleon", "dbrx", "deepseek_v2", "deepseek_v3", "distilbert",
    "falcon-40b", "falcon_h1", "gemma2", "gemma3n", "gemma4", "gemma4_moe", "glm4_moe", "gpt2", "gpt_oss", "granite",
    "granitemoehybrid", "jamba", "kimi_linear", "lfm2_moe", "llama", "llama3", "llama4", "mamba", "mamba2",
    "mimo_v2_flash", "ministral3", "mixtral", "mpt", "nemotron_h_moe", "nomic_bert", "olmo3", "phi3-long", "phimoe",
    "qwen3", "qwen3_5_moe", "qwen3_next", "roberta", "smollm3", "stablelm-12b", "step3p7",
    "t5-v1_1", "umt5",
})  # fmt: skip
"""One of each way in which an architecture lies in a file; the others, and these, with `-m slow` and the benchmark."""


@pytest.mark.parametrize(
    "row", [row if row in DAILY else pytest.param(row, marks=pytest.mark.slow) for row in sorted(MODELS)]
)
def test_exact_in_float32(row: str, written: Callable[..., Path], model: Any, loaded: Any) -> None:
    checkpoint = Gguf().open(str(written(row)), Installed())
    module, tensors = loaded(checkpoint)
    expected = model(row)
    wrong = {name: each for name, each in differences(expected.state_dict(), tensors).items() if each > 1e-6}
    assert not wrong
    assert float((outputs(module) - outputs(expected)).abs().max()) <= 1e-6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", QUANTISED)
def test_within_the_error_of_the_type(
    row: str, kind: str, written: Callable[..., Path], model: Any, loaded: Any
) -> None:
    checkpoint = Gguf().open(str(written(row, kind)), Installed())
    assert checkpoint.blueprint.quantisation == kind.lower()
    module, tensors = loaded(checkpoint)
    found = errors(checkpoint, model(row).state_dict())
    assert set(found) == set(tensors) & set(model(row).state_dict())
    assert {name: share for name, share in found.items() if share > 1} == {}
    assert max(found.values()) > 0.9, "the bound is no wider than the type's error"
    assert torch.isfinite(outputs(module)).all()


def test_an_error_of_more_than_a_block_allows_is_seen(written: Callable[..., Path], model: Any) -> None:
    """A tensor has blocks of small numbers beside those of its largest: an error as large as the step of these is
    within the tensor's step, and not within theirs."""
    checkpoint = Gguf().open(str(written("llama", "Q8_0")), Installed())
    expected = {name: tensor.clone() for name, tensor in model("llama").state_dict().items()}
    name = "model.layers.0.mlp.down_proj.weight"
    row = expected[name].flatten().view(-1, 32)
    smallest = row.abs().amax(1).argmin()
    row[smallest, 0] += float(expected[name].abs().max()) / 127
    assert errors(checkpoint, expected)[name] > 1


def test_every_layout_is_checked() -> None:
    assert set(LAYOUTS) == {arch for arch, _, _ in MODELS.values()}
    assert set(LAYOUTS) - names() == set(LIKE)
    assert set(MODELS) >= DAILY


def test_the_catalogue_knows_what_the_table_says() -> None:
    heads = classes()
    assert set(heads) == set(LAYOUTS)
    for arch, head, _ in MODELS.values():
        assert head in heads[arch] or head in EQUAL, (arch, head)


def test_every_row_has_a_class_or_a_reason() -> None:
    """All that gguf names, and all that opens besides; what streams is what a committed table says."""
    found = {row["name"]: row for row in rows()}
    assert set(found) >= names() | set(LAYOUTS)
    for name, row in found.items():
        assert row["gguf"] == name
        assert bool(row["heads"]) == (name in LAYOUTS) == (not row["reason"]), name
        assert (row["streams"] == "verified") == bool(streaming().get(name)), name
    assert found["dflash"]["streams"] == "untested"
    assert found["gemma4-assistant"]["reason"]


def test_what_is_said_of_gemma_4_assistants_is_what_transformers_raises() -> None:
    """Plain transformers, with the only sort of configuration that its own check lets through. When this fails, the
    architecture can be opened."""
    from transformers import Gemma4AssistantConfig, Gemma4AssistantForCausalLM, Gemma4TextConfig

    text = Gemma4TextConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=64, head_dim=16,
        hidden_size_per_layer_input=0, vocab_size_per_layer_input=0, enable_moe_block=False, use_double_wide_mlp=False,
    )  # fmt: skip
    with pytest.raises(ValueError, match="The set of layer types producing a cache") as caught:
        Gemma4AssistantForCausalLM(Gemma4AssistantConfig(text_config=text, backbone_hidden_size=32))
    assert str(caught.value).rstrip(".") in REASONS["gemma4-assistant"]


EQUAL = {"MistralForCausalLM", "CamembertModel", "Qwen2_5_VLForConditionalGeneration"}
"""Classes that another class of the same architecture computes alike: the file does not say which it was."""


LAYERS = {"llama": 4, "qwen3_moe": 4, "gemma3n": 5, "t5": 6, "mamba2": 4, "hrm_text": 4}


@pytest.mark.parametrize("row", sorted(LAYERS))
def test_blueprint_counts_what_the_model_has(row: str, written: Callable[..., Path], model: Any) -> None:
    found, expected = Gguf().inspect(str(written(row))), model(row)
    assert found.parameters == sum(parameter.numel() for parameter in expected.parameters())
    assert found.head == type(expected).__name__
    assert found.dtype == "F32"
    assert not found.quantisation
    assert sum(stack.count for stack in found.stacks) == LAYERS[row]
    assert found.takes == ("text",)


def test_a_draft_opens_and_says_that_it_does_not_run_alone(written: Callable[..., Path]) -> None:
    found = Gguf()._checkpoint(str(written("muse_glimmer_assistant")))
    assert found.blueprint.missing[-1] == "the states of the model that it drafts for"
    with pytest.raises(NexusError, match="computes from the states of the model that it drafts for"):
        found.collate([Sample(key="x", fields={"text": "the"})])
