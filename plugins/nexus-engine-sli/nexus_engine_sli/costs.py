"""What one observation takes, from the blueprint and the machine's measured rates alone: time, memory, disk.

    seconds = setup + max(reading, unpacking + arithmetic)      streamed: threads read ahead of the arithmetic
    seconds = setup + reading + unpacking + arithmetic          resident: first all weights, then all batches

Arithmetic counts two operations for each active weight and token (the embedding's rows are copied, not multiplied), and
the products of attention; its rate is that of a square product, less what thin layers lose.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nexus_specs import Blueprint, Budget

from .headroom import Way
from .predicting import TOKENS, activations, weight_dtype

RATE, READ = 40e9, 1e9
"""Operations a second of one thread, and bytes a second of the disk, where the machine was not measured."""
EFFICIENCY = 0.8
"""Of a square product's rate, what the layers of a model reach."""
PARALLEL = 0.92
"""What every further thread adds, as a share of the first."""
UNPACK, WIDEN = 0.6e9, 2.5e9
"""Weights a second and thread that are unpacked (FP8, four bits), or brought from sixteen bits to thirty-two."""
SHARE = 0.7
"""Of the memory: what the unit that runs and the one that arrives may take. States and work have the rest."""
SETUP, EACH, CALL = 1.0, 0.004, 0.001
"""Seconds until the skeleton stands; seconds that a layer takes to be brought and dropped, besides its bytes; seconds
that a micro-batch takes in a layer besides its products: what small models cost."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds and bytes."""

    reading: float
    unpacking: float
    arithmetic: float
    seconds: float
    memory: int
    disk: int
    """Of states that memory does not hold."""
    passes: float


def cost(blueprint: Blueprint, samples: int, edits: int, budget: Budget, way: Way) -> Cost:
    """What an observation of `samples` samples with `edits` ablations costs where it is held in one way."""
    tokens = samples * _length(blueprint)
    passes = 1 + edits / 2
    reading = blueprint.bytes / (budget.read_rate or READ)
    unpacking = _unpacking(blueprint, budget)
    layers, batches = sum(stack.count for stack in blueprint.stacks), -(-samples // max(1, budget.micro_batch))
    arithmetic = (operations(blueprint, tokens) / rate(budget) + CALL * layers * batches) * passes
    setup = SETUP + EACH * layers
    streamed = way.residency == "stream"
    work = unpacking + arithmetic
    states = round(tokens * _width(blueprint) * weight_dtype(blueprint, budget).itemsize * (1 + edits / 2))
    held = streamed_memory(blueprint, budget) if streamed else way.memory
    room = max(0, budget.memory - held) if budget.memory else states
    return Cost(
        reading=reading, unpacking=unpacking, arithmetic=arithmetic, passes=passes,
        seconds=setup + (max(reading, work) if streamed else reading + work),
        memory=held + (min(states, room) if streamed else 0),
        disk=max(0, states - room) if streamed else 0,
    )  # fmt: skip


def streamed_memory(blueprint: Blueprint, budget: Budget) -> int:
    """Most bytes of weights and of one batch's work: the unit that runs, the one that arrives, what stays. Layers that
    are too large for that come in parts (`units`), embeddings and heads whole."""
    dtype = weight_dtype(blueprint, budget)
    layers = [size for stack in blueprint.stacks for size in stack.layer_parameters] or [0]
    largest = max((size for stack in blueprint.stacks for size in stack.layer_bytes), default=0)
    table = blueprint.vocabulary * _width(blueprint)
    rest = max(0, blueprint.parameters - sum(layers))
    stays = (rest - (2 if rest >= 2 * table else 1) * table if rest >= table else rest) * dtype.itemsize
    units = max(layers) * dtype.itemsize + largest
    if budget.memory:
        units = min(units, round(SHARE * budget.memory))
    return stays + max(units, 2 * table * dtype.itemsize) + activations(blueprint, budget, dtype)


def operations(blueprint: Blueprint, tokens: int) -> float:
    """Of one intact pass."""
    embedding = blueprint.vocabulary * _width(blueprint)
    dense = blueprint.active_parameters - embedding if embedding * 2 <= blueprint.active_parameters else embedding
    layers = sum(stack.count for stack in blueprint.stacks)
    attention = 4 * layers * _width(blueprint) * _length(blueprint) / 2
    return tokens * (2 * max(dense, 0) + attention)


def rate(budget: Budget) -> float:
    """Operations a second of the threads of a budget."""
    one = budget.gigaflops * 1e9 or RATE
    if torch.device(budget.device).type == "cuda":
        return one * EFFICIENCY
    return one * EFFICIENCY * (1 + PARALLEL * (max(1, budget.threads) - 1))


def _unpacking(blueprint: Blueprint, budget: Budget) -> float:
    threads = max(1, budget.threads)
    if blueprint.quantisation:
        return blueprint.parameters / (UNPACK * threads)
    stored = blueprint.bytes / max(1, blueprint.parameters)
    widened = weight_dtype(blueprint, budget).itemsize > stored + 1
    return blueprint.parameters / (WIDEN * threads) if widened else 0.0


def _length(blueprint: Blueprint) -> int:
    return min(blueprint.context or TOKENS, TOKENS)


def _width(blueprint: Blueprint) -> int:
    return max((max(stack.widths, default=0) for stack in blueprint.stacks), default=0)
