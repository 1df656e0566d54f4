"""Anonymous memory that a checkpoint takes, predicted from its blueprint: what stays, what loading needs beside it,
what a batch takes. Bytes. `benchmarks/memory.py` measures how near that comes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from nexus_specs import Blueprint, Budget
from nexus_torch.files import DTYPES
from nexus_torch.onednn import halves

from ..memory.allocating import MAPPED
from ..weights.quantising import AT_ONCE, How, bytes_of
from . import pieces, working
from .working import STATES, heard, length

WIDE = 3.0
"""Stored bytes a parameter from which on a checkpoint counts as float32; packed ones have far less."""
WIDENED = 32_000_000
"""Parameters below which weights are float32 whatever they are stored in (products are in bfloat16 if the run says so):
that costs little, and sums stay exact."""
RUNTIME = 32_000_000
"""What torch takes for the first products: compiled kernels, buffers of threads."""
PIXELS = 25_000_000
"""What making the first tensors of pictures takes, and leaves."""
KERNELS = 75_000_000
"""What it takes more where experts get different numbers of tokens: oneDNN keeps a kernel for each size, the last 64 of
them, and the heap has holes of many sizes."""
QUANTISING, LIBRARY, LASTING = {"nf4": 12, "int8": 4}, 90_000_000, 45_000_000
"""Bytes for each value that is quantised at a time; bytes that bitsandbytes takes while it is imported and while it
packs; those that stay when all is packed."""
MATRICES = 4
"""A layer's largest matrix is about this part of it."""
ROWS = 1 << 22
"""Numbers of a tensor of GGUF that are unpacked at a time."""
UNPACKED, WHOLE = 8, 2
"""Bytes for each value that is unpacked: it in float32, and once more; those that are stored in so many bytes are whole
and are rounded as they are read (BitNet), others are unpacked some at a time into the dtype in which they stay."""
ALL = 0.98
"""The part of the weights, at least, that is stored."""
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
    blueprint = pieces.widened(blueprint, dtype)
    held = _held(blueprint, budget.quantise, dtype)
    packing, packed = (LIBRARY, LASTING) if budget.quantise else (0, 0)
    running = packed + activations(blueprint, budget, dtype, tokens)
    read = 0 if as_stored(blueprint, dtype) else pieces.rest_stored(blueprint)
    first = pieces.rest(blueprint) * dtype.itemsize + read                  # before any layer
    return max(first, held + max(packing + _loading(blueprint, budget.quantise, dtype), running))


def activations(blueprint: Blueprint, budget: Budget, dtype: torch.dtype, tokens: float = 0.0) -> int:
    """What the tensors of one batch take, and what computes them, where all weights are there."""
    if blueprint.held:
        return _shown(blueprint, budget, dtype, tokens)
    batch = working.resident(blueprint, budget, dtype, tokens)
    runtime = RUNTIME // 2 if budget.quantise else RUNTIME             # the rest is in what quantising takes
    sound = heard(blueprint, budget, dtype, tokens)
    most = sound if blueprint.passing else max(*batch, sound)
    return runtime + kernels(blueprint, dtype) + pixels(blueprint) + most


def _shown(blueprint: Blueprint, budget: Budget, dtype: torch.dtype, tokens: float) -> int:
    """Likewise, as samples of pictures showed; of a text beside them as it is long."""
    most = working.held(blueprint, budget, dtype)
    if pieces.reads_text(blueprint):
        reading = tuple(stack for stack in blueprint.stacks if not stack.sees)
        alone = replace(blueprint, stacks=reading, seen=0, held={})
        most = max(most, *working.resident(alone, budget, dtype, tokens))
    wasted = 0 if budget.quantise or not as_stored(blueprint, dtype) else unused(blueprint)
    state = working.states(blueprint, budget.micro_batch) * dtype.itemsize
    most += working.UNTRIMMED_HOLES * state if state < MAPPED else 0
    return RUNTIME + kernels(blueprint, dtype) + wasted + max(most, working.made(blueprint, budget))


def kernels(blueprint: Blueprint, dtype: torch.dtype) -> int:
    """What experts leave that get different numbers of tokens; nothing where no oneDNN multiplies them."""
    return KERNELS if pieces.fused(blueprint) and dtype == torch.bfloat16 and halves() else 0


def pixels(blueprint: Blueprint) -> int:
    """What making tensors of samples takes, where they have pictures."""
    if blueprint.held and ("text" not in blueprint.gives or "audio" in blueprint.takes):
        return RUNTIME // 2                                 # the rest is counted as it is
    return PIXELS if {"image", "video"} & set(blueprint.takes) and blueprint.seen else 0


def one_sample(blueprint: Blueprint, dtype: torch.dtype) -> int:
    """What the states of one sample take at least, when it goes into a layer and comes out of it."""
    return 2 * round(length(blueprint, STATES)) * pieces.width_of(blueprint) * dtype.itemsize


def unfilled(blueprint: Blueprint) -> int:
    """What is lost where every part stays in the buffer that it was read into."""
    return (len(pieces.layers(blueprint)) + 1) * ROUNDING


def unused(blueprint: Blueprint) -> int:
    """What of it is lost behind layers: the rest of the last page of each."""
    return sum(-layer.stored % ROUNDING for layer in pieces.layers(blueprint) if layer.stored >= ROUNDING)


def _held(blueprint: Blueprint, quantise: str, dtype: torch.dtype) -> int:
    """The weights once they are loaded."""
    layers = sum(layer.parameters for layer in pieces.layers(blueprint))
    rest = pieces.rest(blueprint) * dtype.itemsize + buffers(blueprint, dtype)
    if not quantise:
        return rest + layers * dtype.itemsize
    how: How = "nf4" if quantise == "nf4" else "int8"
    return rest + bytes_of(layers, max(pieces.width_of(blueprint), 1), how)


def _loading(blueprint: Blueprint, quantise: str, dtype: torch.dtype) -> int:
    """What loading takes beside the weights: the layer that was read last in its stored form, if that is not the form
    in which it stays, the layer before it is quantised, what unpacking and quantising need."""
    most, arriving = pieces.largest(blueprint)
    plain = as_stored(blueprint, dtype)
    if plain and not quantise:
        return unfilled(blueprint) + (arriving if pieces.fused(blueprint) else 0)
    beside = arriving + unpacking(blueprint, most) + round((pieces.making(blueprint) - 1) * most * dtype.itemsize)
    if quantise:
        made = 0 if plain else most * dtype.itemsize
        return made + max(beside, min(most // MATRICES, AT_ONCE) * QUANTISING.get(quantise, 0))
    return beside + (arriving if pieces.fused(blueprint) and not blueprint.quantisation else 0)


def as_stored(blueprint: Blueprint, dtype: torch.dtype) -> bool:
    """Whether weights run in the form in which they are stored."""
    least = blueprint.parameters * dtype.itemsize           # buffers may be stored with them (codebooks, statistics)
    most = least + blueprint.buffers                        # what is computed may not be (Marian's table of positions)
    return alike(blueprint, dtype) and least * ALL <= blueprint.bytes <= most


def alike(blueprint: Blueprint, dtype: torch.dtype) -> bool:
    """Whether weights are stored in a dtype, and not packed."""
    return DTYPES.get(blueprint.dtype) == dtype and not blueprint.quantisation


def buffers(blueprint: Blueprint, dtype: torch.dtype) -> int:
    """Bytes of tensors that are no weights, of which those that are stored beside weights of sixteen bits are as narrow
    (codebooks)."""
    if dtype.itemsize >= torch.float32.itemsize or not alike(blueprint, dtype):
        return blueprint.buffers
    stored = blueprint.bytes - blueprint.parameters * dtype.itemsize
    return blueprint.buffers - min(max(stored, 0), blueprint.buffers // 2)


def unpacking(blueprint: Blueprint, most: int) -> int:
    """What it takes to unpack the largest matrix of a layer: of GGUF's no more than some rows, of others nothing but
    where they are whole."""
    if not blueprint.quantisation or pieces.shared(blueprint) or pieces.making(blueprint) != 1:
        return 0
    if pieces.by_rows(blueprint):
        return UNPACKED * min(most // MATRICES, ROWS)
    largest = pieces.largest(blueprint)
    return UNPACKED * (most // MATRICES) if largest.stored >= WHOLE * largest.parameters else 0
