"""Writes values.safetensors: small weights, packed and unpacked by the libraries that define how.

    pip install --no-deps --target DIR auto-gptq==0.7.1 compressed-tensors==0.20.0 loguru pydantic pydantic-core \
        annotated-types typing-inspection
    pip download --no-deps --no-binary :all: autoawq==0.2.9        # unpack it into DIR, too: DIR/autoawq-0.2.9
    python specs/tests/packed_by_others/make.py DIR

The libraries need compilers or a GPU to be installed whole; the files that pack and unpack need neither. A case is
NAME/KEY for every stored tensor, NAME/expected for what the library makes of them (every fourth row of it: the file
stays small), and its settings in the metadata.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

Case = tuple[str, dict[str, Any], dict[str, Tensor], Tensor]
"""Name, quantization_config, stored tensors, expected values [O, I]."""
INPUTS, OUTPUTS = 64, 32
BESIDE = Path(__file__).parent / "values.safetensors"


def module(file: Path) -> Any:
    """One file of a library, without what stands around it."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def scales(weight: Tensor, groups: Tensor, bits: int, *, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Scale and zero of each group of inputs [O, G], as halves hold them."""
    scale, zero = [], []
    for group in range(int(groups.max()) + 1):
        some = weight[:, groups == group]
        low, high = some.amin(1).clamp(max=0), some.amax(1).clamp(min=0)
        step = some.abs().amax(1) * 2 if symmetric else high - low
        step = (step / (2**bits - 1)).half().float()
        scale.append(step)
        zero.append(torch.full_like(step, 2 ** (bits - 1)) if symmetric else (-low / step).round().clamp(1))
    return torch.stack(scale, 1), torch.stack(zero, 1).clamp(max=2**bits - 1)


def gptq(place: Path) -> Iterator[Case]:
    """2, 3, 4 and 8 bits, symmetric and not, in order and with the order of activations."""
    library = module(place / "auto_gptq" / "nn_modules" / "qlinear" / "qlinear_cuda.py")
    for bits in (2, 3, 4, 8):
        for symmetric in (True, False):
            for ordered in (False, True):
                size = 16 if ordered else -1 if bits == 8 else 32
                groups = torch.arange(INPUTS) // (INPUTS if size < 0 else size)
                groups = groups[torch.randperm(INPUTS)] if ordered else groups
                weight = torch.randn(OUTPUTS, INPUTS)
                scale, zero = scales(weight, groups, bits, symmetric=symmetric)
                codes = (weight / scale[:, groups] + zero[:, groups]).round().clamp(0, 2**bits - 1)
                linear = torch.nn.Linear(INPUTS, OUTPUTS, bias=False)
                linear.weight.data = (codes - zero[:, groups]) * scale[:, groups]
                layer = library.QuantLinear(bits, size, INPUTS, OUTPUTS, False)
                layer.pack(linear, scale.clone(), zero.clone(), groups.int())
                stored = {"qweight": layer.qweight, "qzeros": layer.qzeros, "scales": layer.scales.half()}
                layer.scales = layer.scales.float()
                said = {"quant_method": "gptq", "bits": bits, "group_size": size, "desc_act": ordered, "sym": symmetric}
                name = f"gptq-{bits}-{'symmetric' if symmetric else 'asymmetric'}{'-ordered' if ordered else ''}"
                yield name, said, {**stored, "g_idx": layer.g_idx.int()}, layer(torch.eye(INPUTS)).T


def awq(place: Path) -> Iterator[Case]:
    """Four bits, words of random numbers: every order of columns shows."""
    library = module(place / "autoawq-0.2.9" / "awq" / "utils" / "packing_utils.py")
    for size in (32, 64):
        words = torch.randint(-(2**31), 2**31, (INPUTS, OUTPUTS // 8), dtype=torch.int32)
        zeros = torch.randint(-(2**31), 2**31, (INPUTS // size, OUTPUTS // 8), dtype=torch.int32)
        scale = (torch.rand(INPUTS // size, OUTPUTS) + 0.1).half()
        expected = library.dequantize_gemm(words, zeros, scale.float(), 4, size).T
        said = {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemm", "zero_point": True}
        yield f"awq-{size}", said, {"qweight": words, "qzeros": zeros, "scales": scale}, expected


COMPRESSED: dict[str, tuple[str, dict[str, Any]]] = {
    "channel-int8": ("int-quantized", {"num_bits": 8, "type": "int", "strategy": "channel"}),
    "asymmetric-int8": ("int-quantized", {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": False}),
    "tensor-float8": ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "tensor"}),
    "channel-float8": ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "channel"}),
    "block-float8": ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "block",
                                         "block_structure": [24, 48]}),
    "int2": ("pack-quantized", {"num_bits": 2, "type": "int", "strategy": "group", "group_size": 16}),
    "int3": ("pack-quantized", {"num_bits": 3, "type": "int", "strategy": "group", "group_size": 32}),
    "int4": ("pack-quantized", {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 16}),
    "int4-asymmetric": ("pack-quantized", {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 16,
                                           "symmetric": False}),
    "int4-channel": ("pack-quantized", {"num_bits": 4, "type": "int", "strategy": "channel"}),
    "int8-packed": ("pack-quantized", {"num_bits": 8, "type": "int", "strategy": "group", "group_size": 32}),
    "nvfp4": ("nvfp4-pack-quantized", {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}),
    "mxfp4": ("mxfp4-pack-quantized", {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32}),
}  # fmt: skip
"""Name -> format, and how the weights are stored."""


def compressed(place: Path) -> Iterator[Case]:
    """Every format of compressed-tensors that is read."""
    sys.path.insert(0, str(place))
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    for name, (form, weights) in COMPRESSED.items():
        scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights))
        library = BaseCompressor.get_value_from_registry(form)
        stored = library.compress({"weight": torch.randn(OUTPUTS, INPUTS), **_compressing(weights)}, scheme)
        expected = library.decompress(dict(stored), scheme)["weight"]
        said = {"quant_method": "compressed-tensors", "format": form, "config_groups": {"g": {"weights": weights}}}
        yield f"compressed-{name}", said, stored, expected


def _compressing(weights: dict[str, Any]) -> dict[str, Tensor]:
    """Scales and zeros of the form that a strategy has."""
    strategy, bits = weights["strategy"], weights["num_bits"]
    if strategy == "tensor_group":
        scale = (torch.rand(OUTPUTS, INPUTS // weights["group_size"]) * 4 + 1).to(torch.float8_e4m3fn)
        return {"weight_scale": scale.float(), "weight_global_scale": torch.tensor([8.0])}
    block = weights.get("block_structure", [1, 1])
    shape = {
        "tensor": (1,), "channel": (OUTPUTS, 1), "group": (OUTPUTS, INPUTS // weights.get("group_size", INPUTS)),
        "block": (-(-OUTPUTS // block[0]), -(-INPUTS // block[1])),
    }[strategy]  # fmt: skip
    most = 448.0 if weights["type"] == "float" and bits == 8 else 6.0 if bits == 4 else 2.0 ** (bits - 1)
    scale = (torch.rand(shape) + 0.5) * 3 / most
    scale = 2 ** scale.log2().round() if weights["type"] == "float" and bits == 4 else scale
    zero = torch.randint(-2, 3, shape, dtype=torch.int8)
    return {"weight_scale": scale, "weight_zero_point": zero} if not weights.get("symmetric", True) else {
        "weight_scale": scale
    }


def main(place: Path) -> None:
    """The file."""
    torch.manual_seed(0)
    tensors: dict[str, Tensor] = {}
    said: dict[str, str] = {}
    for make in (gptq, awq, compressed):
        for name, settings, stored, expected in make(place):
            said[name] = json.dumps(settings)
            tensors |= {f"{name}/{key}": each.detach().clone().contiguous() for key, each in stored.items()}
            tensors[f"{name}/expected"] = expected.detach().float()[::4].clone().contiguous()
    save_file(tensors, BESIDE, metadata=said)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
