"""What a config.json means that names an old class, none, an unknown one, or no model type."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Blueprint, Installed, NexusError

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 90}
T5 = {"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 90}
PROGRAM = {"AutoConfig": "configuration_deepseek.DeepseekV3Config",
           "AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM"}  # fmt: skip
EXPERTS = {
    "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "first_k_dense_replace": 1,
    "n_group": 1, "topk_group": 1, "n_shared_experts": 1, "kv_lora_rank": 8, "q_lora_rank": 8, "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4, "v_head_dim": 8, "num_key_value_heads": 4,
}  # fmt: skip


def inspect(folder: Path, **values: Any) -> Blueprint:
    (folder / "config.json").write_text(json.dumps(values))
    assert Transformers().match(str(folder)) == 1
    return Transformers().inspect(str(folder))


def mend(folder: Path, **changes: Any) -> None:
    """Changes entries of a folder's config.json; None takes one out."""
    values = json.loads((folder / "config.json").read_text()) | changes
    kept = {name: each for name, each in values.items() if each is not None}
    (folder / "config.json").write_text(json.dumps(kept))


@pytest.mark.parametrize(
    ("values", "head"),
    [
        ({**T5, "architectures": ["T5WithLMHeadModel"]}, "T5ForConditionalGeneration"),
        ({**T5, "architectures": ["TFT5WithLMHeadModel"]}, "T5ForConditionalGeneration"),
        ({**T5, "architectures": ["T5Model"]}, "T5Model"),
        ({**T5, "architectures": ["MyT5Model"]}, "T5Model"),
        (T5, "T5ForConditionalGeneration"),
        ({**SHAPE, "model_type": "llama"}, "LlamaForCausalLM"),
        ({**SHAPE, "model_type": "llama", "architectures": []}, "LlamaForCausalLM"),
        ({**SHAPE, "model_type": "llama", "architectures": ["LlamaForMyGeneration"]}, "LlamaForCausalLM"),
        ({**SHAPE, "model_type": "llama", "architectures": ["LlamaBidirectionalModel"]}, "LlamaModel"),
        ({**SHAPE, "model_type": "bert"}, "BertModel"),
        ({**SHAPE, "model_type": "bert", "architectures": ["BertWithLMHead"]}, "BertForMaskedLM"),
        ({"model_type": "funnel", "d_model": 32, "n_head": 4, "d_head": 8, "block_sizes": [1, 1]}, "FunnelModel"),
    ],
)
def test_the_class_is_the_one_that_is_meant(tmp_path: Path, values: dict[str, Any], head: str) -> None:
    blueprint = inspect(tmp_path, **values)
    assert blueprint.head == head
    assert blueprint.missing == ("weights (*.safetensors)", "tokenizer.json")
    assert (blueprint.gives == ("text",)) == (head not in ("T5Model", "LlamaModel", "BertModel", "BertForMaskedLM",
                                                           "FunnelModel"))  # fmt: skip


def test_a_head_that_nothing_here_has_is_missing(tmp_path: Path) -> None:
    blueprint = inspect(tmp_path, model_type="llama", architectures=["LlamaForRewardModel"], **SHAPE)
    assert (blueprint.head, blueprint.gives) == ("LlamaModel", ("embedding",))
    assert any(each.startswith("the head of LlamaForRewardModel, a class that") for each in blueprint.missing)


@torch.no_grad()
def test_a_t5_under_its_old_name_has_logits(loaded: Callable[[Any], Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = hf.T5ForConditionalGeneration(hf.T5Config(**T5)).eval()
    model.save_pretrained(tmp_path)
    mend(tmp_path, architectures=["T5WithLMHeadModel"])
    checkpoint = Transformers().open(str(tmp_path), Installed())
    assert checkpoint.blueprint.gives == ("text",)
    ids = torch.tensor([[5, 6, 7]])
    found = loaded(checkpoint)(input_ids=ids, decoder_input_ids=ids)
    expected = model(input_ids=ids, decoder_input_ids=ids)
    torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-6)


@torch.no_grad()
def test_kimi_k2_is_a_deepseek_v3(loaded: Callable[[Any], Any], tmp_path: Path) -> None:
    """Its makers' program is DeepSeek-V3's own file."""
    torch.manual_seed(0)
    model = hf.DeepseekV3ForCausalLM(hf.DeepseekV3Config(**SHAPE, **EXPERTS)).eval()
    model.save_pretrained(tmp_path)
    mend(tmp_path, model_type="kimi_k2", auto_map=PROGRAM)
    assert Transformers().match(str(tmp_path)) == 1
    checkpoint = Transformers().open(str(tmp_path), Installed())
    assert (checkpoint.blueprint.family, checkpoint.blueprint.head) == ("deepseek_v3", "DeepseekV3ForCausalLM")
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(loaded(checkpoint)(input_ids=ids).logits, model(input_ids=ids).logits, rtol=0, atol=1e-6)


def test_another_program_with_a_known_class_is_not_run_and_the_way_out_is_said(tmp_path: Path) -> None:
    values = {"model_type": "somebody_v3", "architectures": ["DeepseekV3ForCausalLM"], "auto_map": PROGRAM}
    (tmp_path / "config.json").write_text(json.dumps({**values, **SHAPE, **EXPERTS}))
    with pytest.raises(NexusError, match=r'(?s)never run.*transformers. own.*write "model_type": "deepseek_v3" into'):
        Transformers().match(str(tmp_path))


@pytest.mark.parametrize("named", [None, "my_bert"])
def test_a_class_says_the_model_type_where_none_is_known(tmp_path: Path, named: str | None) -> None:
    values = {"architectures": ["BertForMaskedLM"], **SHAPE} | ({"model_type": named} if named else {})
    blueprint = inspect(tmp_path, **values)
    assert (blueprint.family, blueprint.head) == ("bert", "BertForMaskedLM")


def test_a_checkpoint_without_a_model_type_opens_with_its_vocabulary(tmp_path: Path) -> None:
    """As those of 2019 were published: config.json without a model type, vocab.txt."""
    hf.BertForMaskedLM(hf.BertConfig(**SHAPE)).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b")))
    mend(tmp_path, model_type=None)
    checkpoint = Transformers().open(str(tmp_path), Installed())
    assert checkpoint.blueprint.missing == ()
    words = checkpoint.preprocessor.tokenizer
    assert words("a b")["input_ids"] == [2, 5, 6, 3]


def test_a_configuration_that_names_nothing_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SHAPE))
    assert Transformers().match(str(tmp_path)) == 0
