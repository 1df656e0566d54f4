"""Checkpoints that transformers itself packed with bitsandbytes, and its own answers with their weights unpacked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed

TINY = {"vocab_size": 128, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 1}
WIDE = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
"""Rows of whole blocks of 64: bitsandbytes 0.50 unpacks others wrongly on a processor (test_torch_packed.py)."""
MODELS: dict[str, Callable[[], Any]] = {
    "tied": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**TINY, **WIDE, tie_word_embeddings=True)),
    "turned": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**TINY, n_embd=64, n_layer=2, n_head=4, n_positions=64)),
    "experts": lambda: hf.Qwen3MoeForCausalLM(hf.Qwen3MoeConfig(
        **TINY, **WIDE, head_dim=16, num_key_value_heads=2, moe_intermediate_size=32, num_experts=4,
        num_experts_per_tok=2, decoder_sparse_step=2,
    )),
}  # fmt: skip
FOUR = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
WAYS: dict[str, dict[str, Any]] = {
    "nf4": FOUR, "nf4-double": FOUR | {"bnb_4bit_use_double_quant": True}, "fp4": FOUR | {"bnb_4bit_quant_type": "fp4"},
    "int8": {"load_in_8bit": True},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_it_answers_as_transformers_does(
    name: str, way: str, loaded: Callable[[Any], Any], observed: Callable[..., Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    MODELS[name]().save_pretrained(tmp_path / "plain")
    said = hf.BitsAndBytesConfig(**WAYS[way])
    packed = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "plain", quantization_config=said, dtype=torch.float32)
    packed.save_pretrained(tmp_path / "packed")
    expected: Any = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "packed", dtype=torch.float32)
    expected = expected.dequantize().float().eval()
    checkpoint = Transformers().open(str(tmp_path / "packed"), Installed())
    assert checkpoint.blueprint.quantisation == "bitsandbytes"
    ids = torch.tensor([[5, 2, 3, 4, 7]])
    wanted = expected(input_ids=ids).logits
    torch.testing.assert_close(loaded(checkpoint)(input_ids=ids).logits, wanted, rtol=1e-5, atol=1e-6)
    for residency in ("resident", "stream"):
        found = observed(str(tmp_path / "packed"), ids, residency)
        torch.testing.assert_close(found, wanted[0], rtol=1e-5, atol=2e-4)
