"""What a forward has at one time, by its own code on the meta device."""

from __future__ import annotations

import pytest
import torch
import transformers as hf
from nexus_torch.hugging_face.inputs import alive as inputs

WIDTH, MLP = 64, 160


def llama() -> hf.LlamaForCausalLM:
    config = hf.LlamaConfig(hidden_size=WIDTH, intermediate_size=MLP, num_hidden_layers=4, num_attention_heads=4,
                            num_key_value_heads=1, vocab_size=99, use_cache=False)  # fmt: skip
    with torch.device("meta"):
        return hf.LlamaForCausalLM(config)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LEAST", 1)


def test_a_llama_has_four_states_and_three_tensors_of_its_mlp() -> None:
    module = llama()
    found = inputs.alive(module, ["model.layers"], 1)
    assert found == pytest.approx(4 * WIDTH + 3 * MLP, rel=0.1)
    assert len(module.model.layers) == 4
    assert module.training


def test_nothing_is_said_of_what_does_not_run_without_numbers() -> None:
    config = hf.ViTConfig(hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    with torch.device("meta"):
        assert inputs.alive(hf.ViTModel(config), ["encoder.layer"], 1) == 0
    assert inputs.alive(hf.LlamaForCausalLM(llama().config), ["model.layers"], 1) == 0, "nothing is computed"
