"""Anonymous memory that a checkpoint takes, predicted from its blueprint: what stays, what loading needs beside it,
what a batch takes. Bytes. `benchmarks/memory.py` measures how near that comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from nexus_specs import Blueprint, Budget

from .deferring import rows_at_once
from .quantising import AT_ONCE, How, bytes_of
from .units import LARGE

TOKENS = 256
"""Tokens of a sample, where unknown."""
WIDE = 3.0
"""Stored bytes a parameter from which on a checkpoint counts as float32; packed ones have far less."""
WIDENED = 32_000_000
"""Parameters below which weights are float32 whatever they are stored in (products are in bfloat16 if the run says so):
that costs little, and sums stay exact."""
STATES, LOGITS, WAITING = 16, 3, 8
"""Tensors of the residual width, and of the vocabulary, that a batch holds at a time; how many more of the former where
layers come one by one: what batches leave on the heap is used again by fewer."""
RUNTIME = 32_000_000
"""What torch takes for the first products: compiled kernels, buffers of threads."""
KERNELS = 90_000_000
"""What it takes more where experts get different numbers of tokens: oneDNN keeps a kernel for each size."""
QUANTISING, LIBRARY = {"nf4": 12, "int8": 4}, 100_000_000
"""Bytes for each value that is quantised at a time; bytes that bitsandbytes takes once it is imported."""
MATRICES = 4
"""A layer's largest matrix is about this part of it."""
DIRECT = frozenset({"fp8", "fbgemm_fp8", "mxfp4", "mxfp8"})
"""Packings whose weights are unpacked into the dtype in which they stay, without all of a matrix in float32."""
ROUNDING = 2 << 20
"""Buffers that files are read into are whole pages of this size."""


def weight_dtype(blueprint: Blueprint, budget: Budget) -> torch.dtype:
    """What weights are kept in: bfloat16 where that is what the run computes in and the checkpoint is stored in no more
    than sixteen bits, or where its layers are quantised; else float32, which no checkpoint loses in."""
    narrow = 0 < blueprint.bytes < WIDE * blueprint.parameters and blueprint.parameters >= WIDENED
    half = budget.quantise in ("nf4", "int8") or (budget.precision == "bfloat16" and narrow)
    return torch.bfloat16 if half else torch.float32


def resident(blueprint: Blueprint, budget: Budget, tokens: float = 0.0) -> int:
    """Most bytes that everything in memory takes, while it is loaded or while it runs on samples of so many tokens (0:
    not known)."""
    dtype = weight_dtype(blueprint, budget)
    held = _held(blueprint, budget.quantise, dtype)
    library = LIBRARY if budget.quantise else 0
    running = activations(blueprint, budget, dtype, tokens)
    return held + library + max(_loading(blueprint, budget.quantise, dtype), running)


def layerwise(blueprint: Blueprint, budget: Budget, tokens: float = 0.0, most: float = math.inf) -> int:
    """Most bytes that running a layer at a time takes: what stays, the layer that runs, the one that arrives. Where
    these two may take `most`, what is too large for it comes in parts (`units`)."""
    dtype = weight_dtype(blueprint, budget)
    staying, units = _units(blueprint)
    largest = max((parameters for parameters, _ in units), default=0)
    arriving = _arriving(units)
    coming = largest * making(blueprint) * dtype.itemsize + arriving + 2 * ROUNDING
    twice = fused(blueprint) and not blueprint.quantisation
    coming += _unpacking(blueprint, largest) + (arriving // 2 if twice else 0)  # they go as they are put together
    if budget.quantise:
        coming += LIBRARY + min(largest // MATRICES, AT_ONCE) * QUANTISING.get(budget.quantise, 0)
    holes = max(0, _positions(blueprint, budget, tokens) * WAITING * _width(blueprint) * dtype.itemsize - ROUNDING)
    working = activations(blueprint, budget, dtype, tokens) + holes
    return staying * dtype.itemsize + round(min(coming, most)) + working


def offloaded(blueprint: Blueprint, budget: Budget, tokens: float = 0.0) -> int:
    """Most bytes that weights in RAM take where they run a layer at a time on the processor: all of them as stored, and
    what a layer takes that is made of them. One that runs as it is stored is not made."""
    dtype = weight_dtype(blueprint, budget)
    stored = blueprint.bytes + buffers(blueprint)
    if _as_stored(blueprint, dtype) and not budget.quantise and not fused(blueprint):
        return stored + activations(blueprint, budget, dtype, tokens)
    _, units = _units(blueprint)
    return stored - _arriving(units) + layerwise(blueprint, budget, tokens)       # what arrives is there already


def activations(blueprint: Blueprint, budget: Budget, dtype: torch.dtype, tokens: float = 0.0) -> int:
    """What the tensors of one batch take, and what computes them."""
    positions = _positions(blueprint, budget, tokens)
    rows = min(positions, rows_at_once(blueprint.vocabulary))          # more logits than that are never there
    many = fused(blueprint) and dtype == torch.bfloat16 and not budget.quantise
    runtime = RUNTIME + (KERNELS if many else 0)
    return runtime + positions * STATES * _width(blueprint) * dtype.itemsize + rows * LOGITS * blueprint.vocabulary * 4


def length(blueprint: Blueprint, tokens: float = 0.0) -> float:
    """Tokens of a sample: as many as are said (0: not known), and no more than a text can have."""
    wanted = tokens or TOKENS
    return min(blueprint.context or wanted, wanted) if "text" in blueprint.takes else wanted


def _positions(blueprint: Blueprint, budget: Budget, tokens: float) -> int:
    """Tokens of a batch."""
    return max(1, budget.micro_batch) * round(length(blueprint, tokens))


def _arriving(units: Iterable[tuple[int, int]]) -> int:
    """Stored bytes of the largest of `_units`."""
    return max((stored for _, stored in units), default=0)


def one_sample(blueprint: Blueprint, dtype: torch.dtype) -> int:
    """What the states of one sample take at least, when it goes into a layer and comes out of it."""
    return 2 * round(length(blueprint)) * _width(blueprint) * dtype.itemsize


def making(blueprint: Blueprint) -> int:
    """How often the weights of a layer are there while it is made of packed ones: of experts that are unpacked one by
    one and then put together, twice; of experts that share a tensor (MXFP4), once. `benchmarks/memory.py` measures
    both."""
    return 2 if blueprint.quantisation not in ("", "mxfp4") and fused(blueprint) else 1


def buffers(blueprint: Blueprint) -> int:
    """What is lost where every part stays in the buffer that it was read into."""
    return (len(_layers(blueprint)) + 1) * ROUNDING


def _held(blueprint: Blueprint, quantise: str, dtype: torch.dtype) -> int:
    """The weights once they are loaded."""
    layers = sum(parameters for parameters, _ in _layers(blueprint))
    rest = _rest(blueprint) * dtype.itemsize
    if not quantise:
        return rest + layers * dtype.itemsize
    how: How = "nf4" if quantise == "nf4" else "int8"
    return rest + bytes_of(layers, max(_width(blueprint), 1), how)


def _loading(blueprint: Blueprint, quantise: str, dtype: torch.dtype) -> int:
    """What loading takes beside the weights: the part that was read last in its stored form, if that is not the form in
    which it stays, the layer before it is quantised, what unpacking and quantising need."""
    layers = _layers(blueprint)
    most = max((parameters for parameters, _ in layers), default=0)
    arriving = max((stored for _, stored in layers), default=0)
    as_stored = _as_stored(blueprint, dtype)
    if not as_stored:
        arriving = max(arriving, blueprint.bytes - sum(stored for _, stored in layers))
    if as_stored and not quantise:
        return buffers(blueprint) + (arriving if fused(blueprint) else 0)
    beside = arriving + _unpacking(blueprint, most) + (making(blueprint) - 1) * most * dtype.itemsize
    if quantise:
        made = 0 if as_stored else most * dtype.itemsize
        return made + max(beside, min(most // MATRICES, AT_ONCE) * QUANTISING.get(quantise, 0))
    return beside + (arriving if fused(blueprint) and not blueprint.quantisation else 0)


def _as_stored(blueprint: Blueprint, dtype: torch.dtype) -> bool:
    """Whether weights run in the form in which they are stored."""
    return blueprint.bytes == blueprint.parameters * dtype.itemsize and not blueprint.quantisation


def _unpacking(blueprint: Blueprint, most: int) -> int:
    """What it takes to unpack the largest matrix of a layer: its values in float32, and once more."""
    packed = blueprint.quantisation and blueprint.quantisation not in DIRECT
    return 2 * most // MATRICES * torch.float32.itemsize if packed and making(blueprint) == 1 else 0


def fused(blueprint: Blueprint) -> bool:
    """Whether experts are put together from tensors of their own, which takes a layer twice."""
    return blueprint.active_parameters < blueprint.parameters


def _units(blueprint: Blueprint) -> tuple[int, list[tuple[int, int]]]:
    """Parameters that stay while a model is streamed; parameters and stored bytes of what comes and goes: layers, and
    large embeddings and heads."""
    layers = _layers(blueprint)
    rest, table = _rest(blueprint), blueprint.vocabulary * _width(blueprint)
    stored = max(0, blueprint.bytes - sum(size for _, size in layers))
    if not table or stored < LARGE or rest < table:
        return rest, layers
    tables = rest // table
    return rest - tables * table, [*layers, (table, stored * table // max(rest, 1))]


def _width(blueprint: Blueprint) -> int:
    return max((max(stack.widths, default=0) for stack in blueprint.stacks), default=0)


def _layers(blueprint: Blueprint) -> list[tuple[int, int]]:
    """Parameters and stored bytes of every layer."""
    found = []
    for stack in blueprint.stacks:
        counts = stack.layer_parameters or tuple(_parameters(blueprint, each) for each in stack.layer_bytes)
        found += list(zip(counts, stack.layer_bytes, strict=True))
    return found


def _parameters(blueprint: Blueprint, stored: int) -> int:
    return round(stored * blueprint.parameters / max(1, blueprint.bytes))


def _rest(blueprint: Blueprint) -> int:
    """Parameters that belong to no layer."""
    return max(0, blueprint.parameters - sum(parameters for parameters, _ in _layers(blueprint)))
