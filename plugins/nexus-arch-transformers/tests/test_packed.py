"""Packed checkpoints in their real layouts open, and answer as the model with the values that were packed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError, Sample
from packed_files.writing import METHODS, fp8, pack
from safetensors.torch import load_file, save_file
from torch import Tensor


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("builder", ["llama", "experts"])
@torch.no_grad()
def test_it_answers_as_the_values_that_were_packed(
    loaded: Callable[[Any], Any],
    builder: str,
    method: str,
    checkpoint_folder: Callable[[str], Path],
    tmp_path: Path,
    texts: list[Sample],
) -> None:
    source, target = checkpoint_folder(builder), tmp_path / method
    meant = pack(source, target, method)
    checkpoint = Transformers().open(str(target), Installed())
    plain = Transformers().open(str(source), Installed())
    blueprint = checkpoint.blueprint
    assert blueprint.quantisation == METHODS[method][1]["quant_method"]
    assert blueprint.bytes < plain.blueprint.bytes
    for field in ("parameters", "active_parameters"):
        assert getattr(blueprint, field) == getattr(plain.blueprint, field), "counted unpacked"
    layers = [stack.layer_parameters for stack in blueprint.stacks]
    assert layers == [stack.layer_parameters for stack in plain.blueprint.stacks]
    (tmp_path / "meant").mkdir()
    save_file(meant, tmp_path / "meant" / "model.safetensors")
    (tmp_path / "meant" / "config.json").write_bytes((source / "config.json").read_bytes())
    expected = getattr(hf, blueprint.head).from_pretrained(tmp_path / "meant", dtype=torch.float32).eval()
    batch = checkpoint.collate(texts)
    torch.testing.assert_close(loaded(checkpoint)(**batch).logits, expected(**batch).logits, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_experts_of_shared_exponents(
    loaded: Callable[[Any], Any], observed: Callable[..., Any], tmp_path: Path
) -> None:
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    torch.manual_seed(0)
    config = hf.GptOssConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=32, num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=64,
        layer_types=["sliding_attention", "full_attention"], pad_token_id=0,
    )  # fmt: skip
    model = hf.GptOssForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    for layer in range(2):
        for name, outputs in (("gate_up_proj", 64), ("down_proj", 32)):
            key = f"model.layers.{layer}.mlp.experts.{name}"
            blocks = torch.randint(256, (4, outputs, 1, 16), dtype=torch.uint8)
            scales = torch.randint(118, 124, (4, outputs, 1), dtype=torch.uint8)
            values = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
            model.get_parameter(key).copy_(values)
            del stored[key]
            stored |= {f"{key}_blocks": blocks, f"{key}_scales": scales}
    save_file(stored, tmp_path / "model.safetensors")
    settings = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.embed_tokens", "lm_head"]}
    written = json.loads((tmp_path / "config.json").read_text()) | {"quantization_config": settings}
    (tmp_path / "config.json").write_text(json.dumps(written))
    checkpoint = Transformers().open(str(tmp_path), Installed())
    batch = {"input_ids": torch.tensor([[1, 2, 3, 4, 5]])}
    expected = model(**batch).logits
    torch.testing.assert_close(loaded(checkpoint)(**batch).logits, expected, rtol=1e-5, atol=1e-5)
    streamed = observed(str(tmp_path), batch["input_ids"], "stream")
    torch.testing.assert_close(streamed, expected[0], rtol=1e-5, atol=2e-4)


def test_deepseek_with_rows_that_do_not_divide(loaded: Callable[[Any], Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = hf.DeepseekV3Config(
        vocab_size=64, hidden_size=64, intermediate_size=48, moe_intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1,
        n_group=2, topk_group=1, first_k_dense_replace=1, q_lora_rank=24, kv_lora_rank=40, qk_rope_head_dim=8,
        qk_nope_head_dim=16, v_head_dim=16, max_position_embeddings=64,
    )  # fmt: skip
    model = hf.DeepseekV3ForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    stored, meant = {}, {}
    for key, weight in load_file(tmp_path / "model.safetensors").items():
        if weight.ndim == 2 and "proj" in key:
            made, meant[key] = fp8(weight)
            stored |= {key.removesuffix(".weight") + ending: each for ending, each in made.items()}
        else:
            stored[key] = meant[key] = weight
    assert stored["model.layers.0.self_attn.kv_a_proj_with_mqa.weight"].shape == (48, 64)
    save_file(meant, tmp_path / "model.safetensors")
    expected = hf.DeepseekV3ForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    save_file(stored, tmp_path / "model.safetensors")
    written = json.loads((tmp_path / "config.json").read_text()) | {"quantization_config": METHODS["fp8"][1]}
    (tmp_path / "config.json").write_text(json.dumps(written))
    checkpoint = Transformers().open(str(tmp_path), Installed())
    batch = {"input_ids": torch.tensor([[1, 2, 3, 4, 5]])}
    with torch.no_grad():
        found = loaded(checkpoint)(**batch).logits
        torch.testing.assert_close(found, expected(**batch).logits, rtol=1e-5, atol=1e-5)


FLAT: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "gptq": (".qweight", torch.flatten), "awq": (".scales", lambda each: each.new_ones(())),
    "nf4": (".weight.quant_state.bitsandbytes__nf4", lambda each: each[None]),
    "compressed": (".weight_scale", lambda each: each[:0]),
}  # fmt: skip


@pytest.mark.parametrize("method", FLAT)
def test_tensors_that_nobody_packed_are_an_error_with_the_weights_name(
    loaded: Callable[[Any], Any], method: str, checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    target, (ending, change) = tmp_path / method, FLAT[method]
    pack(checkpoint_folder("llama"), target, method)
    stored = load_file(target / "model.safetensors")
    key = next(key for key in sorted(stored) if key.endswith(ending))
    save_file({**stored, key: change(stored[key]).clone()}, target / "model.safetensors")
    with pytest.raises(NexusError, match=re.escape(key.removesuffix(ending).removesuffix(".weight"))):
        loaded(Transformers().open(str(target), Installed()))
