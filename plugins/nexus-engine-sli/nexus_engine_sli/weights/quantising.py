"""Weights in four or eight bits: NF4 and INT8 by bitsandbytes, in a tensor that looks like the weight it was.

    quantise(layer, "nf4")      # in place; what is no product's weight (norms, biases, tables) stays

A quantised weight keeps its shape and dtype and is a parameter like any other, so that filling, emptying and tying go
on working, fused experts (three dimensions, no `nn.Linear`) are quantised the same way, and a module that looks at its
weight itself sees values, not codes.

Codes, scales and values are those of bitsandbytes.functional, bit for bit (`tests/test_quantising.py`). Its modules are
not used, for what 0.50.2 does on a processor:

- `Linear8bitLt` quantises the inputs to eight bits as well and computes in float16 (`autograd/_functions.py`,
  MatMul8bitLt); wanted are products in bfloat16 (LLM.int8's outliers need no path of their own then: Dettmers et al.
  2022, arXiv 2208.07339, is about inputs in eight bits).
- `Linear4bit` repacks its weight at its first call where the processor multiplies bfloat16 (`functional.py`,
  `_convert_weight_packed_for_cpu`): that rounds the scales to bfloat16, stops at weights whose rows are no multiple of
  32 or columns no multiple of 64, and asks a hub for another kernel. NF4: Dettmers et al. 2023, arXiv 2305.14314.
- Neither holds fused experts, and neither gives its weight back to whoever drops a layer and fills it again.

So products are computed in bfloat16 with a weight that is made for them and dropped; of fused experts, one expert at a
time.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import sys
from collections.abc import Iterator
from typing import Any, Literal

import torch
from nexus_specs import NexusError
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils._pytree import tree_map

How = Literal["nf4", "int8"]
BLOCK, LEVELS = 64, 127
"""Values of NF4 that share a scale; the largest number of INT8."""
AT_ONCE = 1 << 22
"""Values that are quantised at a time: what quantising needs beside its result."""
NARROWEST = 16
"""Fused experts are matrices of at least this many rows and columns; less is a table."""
aten = torch.ops.aten


def quantise(module: nn.Module, how: How) -> None:
    """Quantises the weights of a layer, or of a part of one. What stays as it is gets memory of its own, so that the
    buffer in which the whole layer was read is free again."""
    library = _bitsandbytes()
    done: dict[int, nn.Parameter] = {}
    for owner, name in list(_products(module)):
        weight = owner._parameters[name]
        if weight is None or weight.is_meta or isinstance(weight, Quantised):
            continue
        if id(weight) not in done:
            done[id(weight)] = nn.Parameter(Quantised.of(weight.data, how, library), requires_grad=False)
        owner._parameters[name] = done[id(weight)]
        if weight.ndim == 3:
            _one_at_a_time(owner)
    for each in module.parameters():
        if not isinstance(each, Quantised) and not each.is_meta:
            each.data = each.data.clone()
    _give_back()


def packed_experts(weights: Tensor, how: How) -> Tensor:
    """Quantised weights of some experts [E, rows, columns] that come in a group; what is no matrix, or too small a one,
    stays, as in a layer that comes whole."""
    if weights.ndim != 3 or min(weights.shape[1:]) < NARROWEST:
        return weights
    made = Quantised.of(weights, how, _bitsandbytes())
    _give_back()
    return made


def bytes_of(weights: int, width: int, how: How) -> int:
    """What so many quantised weights take, in rows of `width`: codes and scales."""
    if how == "nf4":
        return weights // 2 + weights // BLOCK * 4
    return weights + weights // max(1, width) * 4


class Quantised(Tensor):
    """A weight as codes and scales. Shape, dtype and device are those of the weight that it was."""

    codes: Tensor
    """NF4: uint8 [E, ...], two values each; INT8: int8 [E, rows, columns]. E: experts, 1 for a matrix."""
    scales: Tensor
    """float32 [E, blocks] or [E, rows]: the largest magnitude of what shares it."""
    how: How

    @staticmethod
    def __new__(
        cls: type[Quantised], codes: Tensor, scales: Tensor, shape: torch.Size, dtype: torch.dtype, how: How
    ) -> Quantised:
        """Wraps codes and scales."""
        made = Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=codes.device)
        made.codes, made.scales, made.how = codes, scales, how
        return made  # type: ignore[no-any-return]

    @classmethod
    def of(cls, weight: Tensor, how: How, library: Any) -> Quantised:
        """The quantised weight, expert by expert."""
        experts = weight.detach().reshape(1 if weight.ndim < 3 else weight.shape[0], -1, weight.shape[-1])
        made = [(_nf4 if how == "nf4" else _int8)(each, library) for each in experts]
        codes, scales = (torch.stack(each) for each in zip(*made, strict=True))
        return cls(codes, scales, weight.shape, weight.dtype, how)

    def values(self, expert: int | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """The weight, or one expert's, as an ordinary tensor."""
        dtype, experts = dtype or self.dtype, range(len(self.codes)) if expert is None else [expert]
        shape = self.shape[-2:]
        found = [_read(self.codes[each], self.scales[each], shape, dtype, self.how) for each in experts]
        if self.ndim < 3 or expert is not None:
            return found[0].reshape(self.shape[1:] if self.ndim == 3 else self.shape)
        return torch.stack(found)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Products in bfloat16; all else as for any tensor."""
        kwargs = kwargs or {}
        if func is linear and len(args) > 1 and isinstance(args[1], Quantised) and not isinstance(args[0], Quantised):
            return _product(args[0], args[1], args[2] if len(args) > 2 else kwargs.get("bias"))
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What concerns the whole stays quantised; an expert that is asked for is made; else values are."""
        kwargs = kwargs or {}
        weight = args[0] if args else None
        if isinstance(weight, Quantised):
            if func in (aten.detach.default, aten.alias.default):
                return weight._like(weight.codes, weight.scales)
            if func is aten.empty_like.default:
                return torch.empty(weight.shape, dtype=kwargs.get("dtype") or weight.dtype, device=kwargs.get("device"))
            if weight.ndim == 3 and func is aten.select.int and args[1] == 0:
                return weight.values(args[2] % len(weight.codes))
            if func is aten._to_copy.default and set(kwargs) <= {"device", "non_blocking"}:
                return weight._like(weight.codes.to(kwargs["device"]), weight.scales.to(kwargs["device"]))
        whole = tree_map(lambda each: each.values() if isinstance(each, Quantised) else each, (args, kwargs))
        return func(*whole[0], **whole[1])

    def _like(self, codes: Tensor, scales: Tensor) -> Quantised:
        return Quantised(codes, scales, self.shape, self.dtype, self.how)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Quantised({self.how}, shape={tuple(self.shape)}, dtype={self.dtype}, device={self.device})"


def _products(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Owners and names of weights that multiply: of linear modules, and of fused experts."""
    for each in module.modules():
        if isinstance(each, nn.modules.conv._ConvNd):
            continue
        if isinstance(each, nn.Linear) or type(each).__name__ == "Conv1D":      # GPT-2's linear module
            yield each, "weight"
            continue
        for name, weight in each._parameters.items():
            fused = weight is not None and weight.ndim == 3 and weight.shape[0] > 1
            if fused and "bias" not in name and min(weight.shape[1:]) >= NARROWEST:     # type: ignore[union-attr]
                yield each, name


def _one_at_a_time(owner: nn.Module) -> None:
    """Has transformers' experts go through their own loop, which takes one expert's weight at a time; its grouped
    product would take those of all."""
    config = getattr(owner, "config", None)
    if hasattr(config, "_experts_implementation"):
        config._experts_implementation = "eager"


def _product(inputs: Tensor, weight: Quantised, bias: Tensor | None) -> Tensor:
    half = torch.bfloat16
    made = linear(inputs.to(half), weight.values(dtype=half), None if bias is None else bias.to(half))
    return made.to(inputs.dtype)


def _nf4(weight: Tensor, library: Any) -> tuple[Tensor, Tensor]:
    """Matrix -> codes [N / 2] and scales [blocks], rows joined: blocks do not end with them."""
    flat, size = weight.reshape(-1), -(-weight.numel() // BLOCK) * BLOCK
    codes = torch.empty(size // 2, dtype=torch.uint8, device=weight.device)
    scales = torch.empty(size // BLOCK, dtype=torch.float32, device=weight.device)
    for first in range(0, flat.numel(), AT_ONCE):
        some = flat[first : first + AT_ONCE]
        blocks = nn.functional.pad(some, (0, -some.numel() % BLOCK)).view(-1, BLOCK)
        packed, state = library.quantize_4bit(blocks, blocksize=BLOCK, compress_statistics=False, quant_type="nf4")
        codes[first // 2 : first // 2 + packed.numel()] = packed.flatten()
        scales[first // BLOCK : first // BLOCK + len(blocks)] = state.absmax
    return codes, scales


def _int8(weight: Tensor, library: Any) -> tuple[Tensor, Tensor]:
    """Matrix [R, C] -> codes [R, C] and scales [R]."""
    codes = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scales = torch.empty(len(weight), dtype=torch.float32, device=weight.device)
    step = max(1, AT_ONCE // max(1, weight.shape[1]))
    for first in range(0, len(weight), step):
        some = slice(first, first + step)
        codes[some], scales[some], _ = library.int8_vectorwise_quant(weight[some].to(torch.float16))
    codes[scales == 0] = 0                                  # nothing divided by nothing
    return codes, scales


def _read(codes: Tensor, scales: Tensor, shape: torch.Size, dtype: torch.dtype, how: How) -> Tensor:
    """Values [rows, columns]."""
    library = _bitsandbytes()
    if how == "int8":
        return library.int8_vectorwise_dequant(codes, scales).to(dtype)  # type: ignore[no-any-return]
    blocks = torch.Size((len(scales), BLOCK))
    state = library.QuantState(scales, shape=blocks, dtype=dtype, blocksize=BLOCK, quant_type="nf4")
    return library.dequantize_4bit(codes.view(-1, 1), state).view(-1)[: shape.numel()].view(shape)  # type: ignore[no-any-return]


def _give_back() -> None:
    """Lets the system have the memory that quantising took beside its results: the C library would keep it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _bitsandbytes() -> Any:
    """bitsandbytes.functional, without the kernels from a hub that it asks for when it is imported."""
    if "bitsandbytes.functional" not in sys.modules:
        noise = logging.getLogger("bitsandbytes.backends.cpu.ops")
        level, hidden = noise.level, sys.modules.get("kernels")
        noise.setLevel(logging.ERROR)
        sys.modules["kernels"] = None  # type: ignore[assignment]
        try:
            importlib.import_module("bitsandbytes")
        except ImportError as error:
            raise NexusError(
                f"Quantised weights need bitsandbytes ({error}). Run `pip install bitsandbytes`, or set quantise: none."
            ) from error
        finally:
            noise.setLevel(level)
            if hidden is not None:                          # else it stays hidden, as loaders leave it
                sys.modules["kernels"] = hidden
    return sys.modules["bitsandbytes.functional"]
