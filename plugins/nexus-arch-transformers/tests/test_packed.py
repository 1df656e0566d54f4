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
from safetensors.torch import load_file, save_file
from torch import Tensor

bitsandbytes = pytest.importorskip("bitsandbytes")
WORDS = 2**32
Packed = tuple[dict[str, Tensor], Tensor]
"""What is stored (ending -> tensor), and the values that it means."""


def fp8(weight: Tensor) -> Packed:
    """Blocks of 16 x 24: sizes of the model do not divide by them."""
    rows, columns = (-(-weight.shape[0] // 16), -(-weight.shape[1] // 24))
    scale = torch.rand(rows, columns) / 100 + 1e-4
    by = scale.repeat_interleave(16, 0).repeat_interleave(24, 1)[: weight.shape[0], : weight.shape[1]]
    packed = (weight / by).clamp(-448, 448).to(torch.float8_e4m3fn)
    return {".weight": packed, ".weight_scale_inv": scale}, packed.float() * by


def _integers(weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Numbers [O, I], zeros and scales [O, G] in groups of 8 inputs, values [O, I]."""
    groups = weight.unflatten(1, (-1, 8))
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = ((high - low) / 15).half().float()
    zero = (-low / scale).round().clamp(1, 15)
    numbers = (groups / scale + zero).round().clamp(0, 15)
    return numbers.flatten(1).long(), zero[..., 0].long(), scale[..., 0], ((numbers - zero) * scale).flatten(1)


def _words(values: Tensor, order: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)) -> Tensor:
    """[R, N] -> int32 [R, N / 8]."""
    found = torch.nn.functional.pad(values, (0, -values.shape[1] % 8)).unflatten(1, (-1, 8))
    made = sum(found[..., column] << (4 * place) for place, column in enumerate(order))
    return torch.where(made >= WORDS // 2, made - WORDS, made).int().contiguous()


def gptq(weight: Tensor) -> Packed:
    numbers, zeros, scales, values = _integers(weight)
    words = {".qweight": _words(numbers).T.contiguous(), ".qzeros": _words((zeros - 1).T)}
    order = torch.arange(weight.shape[1], dtype=torch.int32) // 8
    return {**words, ".scales": scales.T.half().contiguous(), ".g_idx": order}, values


def awq(weight: Tensor) -> Packed:
    numbers, zeros, scales, values = _integers(weight)
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    words = {".qweight": _words(numbers.T, order), ".qzeros": _words(zeros.T, order)}
    return {**words, ".scales": scales.T.half().contiguous()}, values


def compressed(weight: Tensor) -> Packed:
    scale = (weight.unflatten(1, (-1, 8)).abs().amax(-1) / 7).contiguous()
    by = scale.repeat_interleave(8, 1)
    numbers = (weight / by).round().clamp(-8, 7)
    shape = torch.tensor(weight.shape)
    words = _words(numbers.long() + 8)
    return {".weight_packed": words, ".weight_scale": scale, ".weight_shape": shape}, numbers * by


def nf4(weight: Tensor) -> Packed:
    packed, state = bitsandbytes.functional.quantize_4bit(weight, compress_statistics=True, quant_type="nf4")
    stored = {f".weight.{key}": each for key, each in state.as_dict(packed=True).items()}
    state.shape = torch.Size((weight.numel() // 64, 64))  # 0.50 dequantises rows shorter than a block wrongly
    values = bitsandbytes.functional.dequantize_4bit(packed, state).reshape(weight.shape)
    return {".weight": packed, **stored}, values


def int8(weight: Tensor) -> Packed:
    packed, scale, _ = bitsandbytes.functional.int8_vectorwise_quant(weight.half())
    stored = {".weight": packed, ".SCB": scale, ".weight_format": torch.tensor(0, dtype=torch.uint8)}
    return stored, packed * scale[:, None] / 127


METHODS: dict[str, tuple[Callable[[Tensor], Packed], dict[str, Any]]] = {
    "fp8": (fp8, {"quant_method": "fp8", "weight_block_size": [16, 24], "activation_scheme": "dynamic"}),
    "gptq": (gptq, {"quant_method": "gptq", "bits": 4, "group_size": 8, "desc_act": False, "sym": False}),
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": 8, "version": "gemm", "zero_point": True}),
    "nf4": (nf4, {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}),
    "int8": (int8, {"quant_method": "bitsandbytes", "load_in_8bit": True}),
    "compressed": (
        compressed,
        {
            "quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": ["lm_head"],
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int"}}},
        },
    ),
}  # fmt: skip


def pack(source: Path, target: Path, method: str) -> dict[str, Tensor]:
    """Writes the checkpoint with every linear weight inside the layers packed; returns the values that they mean."""
    how, settings = METHODS[method]
    stored, meant = {}, {}
    weights = {key: each for file in source.glob("*.safetensors") for key, each in load_file(file).items()}
    for key, weight in weights.items():
        if weight.ndim == 2 and key.endswith("proj.weight"):
            made, meant[key] = how(weight.float())
            stored |= {key.removesuffix(".weight") + ending: each for ending, each in made.items()}
        else:
            stored[key] = meant[key] = weight
    target.mkdir()
    save_file(stored, target / "model.safetensors")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (target / name).write_bytes((source / name).read_bytes())
    config = json.loads((source / "config.json").read_text()) | {"quantization_config": settings}
    (target / "config.json").write_text(json.dumps(config))
    return meant


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
def test_experts_of_shared_exponents(loaded: Callable[[Any], Any], tmp_path: Path) -> None:
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
    torch.testing.assert_close(loaded(checkpoint)(**batch).logits, model(**batch).logits, rtol=1e-5, atol=1e-5)


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


def test_transposed_layers_of_bitsandbytes_are_refused(tmp_path: Path) -> None:
    config = hf.GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    hf.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    written["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (tmp_path / "config.json").write_text(json.dumps(written))
    with pytest.raises(NexusError, match="Conv1D layers packed by bitsandbytes"):
        Transformers().open(str(tmp_path), Installed())
