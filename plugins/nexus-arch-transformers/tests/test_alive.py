"""What a forward has at one time, by its own code on the meta device."""

from __future__ import annotations

import pytest
import torch
import transformers as hf
from nexus_torch.hugging_face.inputs import alive as inputs
from nexus_torch.hugging_face.inputs.scores import scored
from nexus_torch.hugging_face.inputs.seeing import whole

WIDTH, MLP = 64, 160
KEYS = {"qk_nope_head_dim": 64, "qk_rope_head_dim": 32}


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


@pytest.mark.parametrize(("values", "kept"), [(64, 16), (96, 0)])
def test_scores_are_kept_where_keys_and_values_differ_in_width(values: int, kept: int) -> None:
    """A DeepSeek V3 with 2 texts of 512 tokens: 348 MB were predicted, and 499 taken."""
    config = hf.DeepseekV3Config(
        hidden_size=64, intermediate_size=64, moe_intermediate_size=16, num_hidden_layers=2, num_attention_heads=16,
        num_key_value_heads=16, n_routed_experts=4, n_group=1, topk_group=1, v_head_dim=values, **KEYS,
    )  # fmt: skip
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        assert scored(hf.DeepseekV3ForCausalLM(config), ["model.layers"]) == kept


def test_a_number_in_which_layers_differ_is_their_largest() -> None:
    """transformers refuses to tell it of the whole (`per_layer_config`, Dots 3)."""
    config = hf.Dots3NoteTextConfig(num_hidden_layers=4)
    with pytest.raises(RuntimeError):
        config.qk_nope_head_dim  # noqa: B018
    widths = {each.qk_nope_head_dim for each in config.per_layer_config}
    assert len(widths) > 1
    assert whole(config, "qk_nope_head_dim") == max(widths)
