"""Weights packed in their real layouts, and a checkpoint whose linear weights are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitsandbytes
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

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


CODES = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])


def nvfp4(weight: Tensor) -> Packed:
    """ModelOpt's: groups of 16 inputs, a scale in e4m3 for each, and one of those for all."""
    groups = weight.unflatten(1, (-1, 16))
    whole = weight.abs().max() / (6 * 448)
    scale = (groups.abs().amax(-1) / 6 / whole).to(torch.float8_e4m3fn)
    by = (scale.float() * whole)[..., None]
    near = (groups / by).abs().unsqueeze(-1).sub(CODES).abs().argmin(-1)
    values = (CODES[near] * groups.sign() * by).flatten(1)
    codes = (near | ((groups < 0).long() << 3)).flatten(1)
    packed = (codes[:, ::2] | (codes[:, 1::2] << 4)).to(torch.uint8)
    return {".weight": packed, ".weight_scale": scale, ".weight_scale_2": whole, ".input_scale": torch.ones(())}, values


METHODS: dict[str, tuple[Callable[[Tensor], Packed], dict[str, Any]]] = {
    "fp8": (fp8, {"quant_method": "fp8", "weight_block_size": [16, 24], "activation_scheme": "dynamic"}),
    "gptq": (gptq, {"quant_method": "gptq", "bits": 4, "group_size": 8, "desc_act": False, "sym": False}),
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": 8, "version": "gemm", "zero_point": True}),
    "nf4": (nf4, {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}),
    "int8": (int8, {"quant_method": "bitsandbytes", "load_in_8bit": True}),
    "nvfp4": (nvfp4, {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}),
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
