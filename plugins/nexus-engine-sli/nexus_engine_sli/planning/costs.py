"""What one observation takes, from the blueprint and the machine's measured rates alone: time, memory, disk.

    seconds = setup + max(reading, unpacking + arithmetic)      streamed: threads read ahead of the arithmetic
    seconds = setup + reading + unpacking + arithmetic          resident: first all weights, then all batches

Arithmetic has three terms, each at a rate that the engine measures (`machine`):

    operations / their rate     two for each active weight and token (the embedding's rows are copied, not multiplied),
                                and the products of attention
    bytes / their rate          each micro-batch takes all weights that it meets from memory, however few its tokens;
                                what is done to states besides products, and the softmax of attention
    calls / their rate          each micro-batch calls the operations of each layer, however small they are

The first rules in large models where texts are long or pass many at a time, the second where they are short and in
narrow models, the third in tiny ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from nexus_specs import Blueprint, Budget

from ..weights.standing import convolves
from .headroom import Way
from .layerwise import layerwise
from .moving import moved
from .pieces import reads_text, tied, width_of
from .predicting import weight_dtype
from .working import TOKENS, given, waits
from .working import length as usual
from .working import states as waiting

RATE, READ, WEIGHTS, CALLS = 40e9, 1e9, 5e9, 2e5
"""Operations a second of one thread, bytes a second of the disk and of weights through products of a few rows, and
small operations a second, where the machine was not measured."""
TRAFFIC, SCORE, HEAD, HEADS = 110, 48, 96, 6
"""How often a layer reads or writes the numbers of a state besides its products (norms, rotary embeddings, activation,
residual sums: a Llama of width 2048 and one of 64); bytes that would take as long as the softmax of one attention
score; width of a head and fewest heads, where nothing tells."""
PARALLEL = 0.92
"""What every further thread adds, as a share of the first."""
UNPACK, WIDEN = 0.6e9, 2.5e9
"""Weights a second and thread that are unpacked (FP8, four bits), or brought from sixteen bits to thirty-two."""
LENGTH, FEW = 256, 64
"""Tokens of a sample, where unknown, for what takes time and what waits: as long as texts are cut for a corpus. The
few that pass at a time may be shorter (`working.TOKENS`), and of all that wait so many."""
TWICE = 2
"""What a convolution makes of a sound is there in two layouts."""
FIRST = 1
"""States that a forward holds besides those that its last layer gave: its code keeps what the first one was given."""
WAITS = 70_000
"""Bytes that a forward takes while it waits, beside its states: frames of Python's, and what is noted of its memory (60
to 66 kB measured, with edits and without)."""
SHARE = 0.7
"""Of the memory: what the unit that runs and the one that arrives may take. States and work have the rest."""
SETUP, EACH = 0.1, 0.02
"""Seconds until the skeleton stands, and those that each layer adds: it is made, brought and dropped."""
OPERATIONS, WATCHED = 80, 3.5
"""Small operations that a layer takes as long as, whatever its size (a Llama of width 64: 68 in float32, 98 under
autocast); how many times longer they take where each is watched (`tracking`)."""


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


def cost(
    blueprint: Blueprint, samples: int, edits: int, budget: Budget, way: Way, tokens: float = 0.0
) -> Cost:
    """What an observation of `samples` samples of `tokens` tokens (0: not known) with `edits` ablations costs where it
    is held in one way."""
    length = usual(blueprint, tokens or LENGTH)
    passes = 1 + edits / 2
    reading = blueprint.bytes / (budget.read_rate or READ)
    unpacking = _unpacking(blueprint, budget)
    streamed = way.residency == "stream"
    arithmetic = _arithmetic(blueprint, samples, length, budget, watched=streamed) * passes
    setup = SETUP + EACH * _layers(blueprint)
    work = unpacking + arithmetic
    long = tokens or unsaid(blueprint, samples)
    dtype = weight_dtype(blueprint, budget)
    shown = blueprint.held and not edits                    # what the batch that runs was given is counted there
    wait = max(0, samples - max(1, budget.micro_batch)) if shown else samples
    each = waiting(blueprint, samples, long) * dtype.itemsize if wait else 0
    states = round(each * (FIRST + passes))
    if blueprint.waits and not edits:
        there = wait * waits(moved(blueprint, _unit(budget)), budget, dtype)
        states = max(states, there) if reads_text(blueprint) else there
    states += wait * given(blueprint, dtype)
    held = streamed_memory(blueprint, budget, tokens) if streamed else way.memory
    if streamed or edits:                                   # else one batch ends before the next one begins
        held += _batches(samples, budget) * (1 + edits) * WAITS
    room = max(0, budget.memory - held) if budget.memory and streamed else states
    return Cost(
        reading=reading, unpacking=unpacking, arithmetic=arithmetic, passes=passes,
        seconds=setup + (max(reading, work) if streamed else reading + work),
        memory=held + (min(states, room) if streamed or edits else 0),
        disk=max(0, states - room) if streamed else 0,
    )  # fmt: skip


def unsaid(blueprint: Blueprint, samples: int) -> float:
    """Tokens of each of so many samples that wait, in the mean, where nobody says; states of a sound, as long as what
    its convolutions were seen to make."""
    if blueprint.passing and convolves(blueprint):
        return max(1.0, blueprint.passing / (TWICE * blueprint.frames))
    if "text" not in blueprint.takes or not samples:
        return LENGTH
    few = min(samples, FEW)
    return (few * TOKENS + (samples - few) * LENGTH) / samples


def streamed_memory(blueprint: Blueprint, budget: Budget, tokens: float = 0.0) -> int:
    """Most bytes of weights and of one batch's work: the unit that runs, the one that arrives, what stays."""
    return layerwise(blueprint, budget, tokens, _unit(budget))


def _unit(budget: Budget) -> float:
    """Bytes that may come at a time."""
    return SHARE * budget.memory if budget.memory else math.inf


def operations(blueprint: Blueprint, samples: int, length: float) -> float:
    """Of one intact pass over samples of `length` tokens."""
    attention = 4 * _layers(blueprint) * width_of(blueprint) * length / 2
    return samples * length * (2 * multiplied(blueprint) + attention)


def multiplied(blueprint: Blueprint) -> int:
    """Weights that a token is multiplied with: the active ones, without a table of embeddings that is only looked up.
    A head of its own is a second table; one that is tied to the embedding makes it a matrix like any other."""
    table = blueprint.vocabulary * width_of(blueprint)
    return max(0, blueprint.active_parameters - (0 if tied(blueprint) else table))


def met(blueprint: Blueprint, tokens: float) -> float:
    """Weights that so many tokens meet together: of experts, those that at least one of them is sent to."""
    share = blueprint.active_parameters / max(1, blueprint.parameters)
    whole = multiplied(blueprint) / max(share, 1e-9)
    return whole if share >= 1 else whole * (1 - (1 - share) ** max(1.0, tokens))


def rate(budget: Budget) -> float:
    """Operations a second of the threads of a budget, in the precision in which products are made."""
    half = budget.precision == "bfloat16" or budget.quantise in ("nf4", "int8")
    reached = budget.gigaflops if half else budget.gigaflops_float32 or budget.gigaflops
    return (reached * 1e9 or RATE) * _together(budget)


def beside(blueprint: Blueprint, length: float, itemsize: int) -> float:
    """Bytes that a token of a text of `length` takes besides products."""
    width = max(0, width_of(blueprint))
    heads = max(HEADS, width // HEAD)
    return _layers(blueprint) * (width * TRAFFIC * itemsize + heads * length * SCORE)


def _arithmetic(blueprint: Blueprint, samples: int, length: float, budget: Budget, *, watched: bool) -> float:
    """Seconds of one intact pass."""
    together, batches = max(1, budget.micro_batch), _batches(samples, budget)
    itemsize = weight_dtype(blueprint, budget).itemsize
    passing = batches * met(blueprint, min(samples, together) * length) * itemsize
    passing += samples * length * beside(blueprint, length, itemsize)
    calls = batches * OPERATIONS * _layers(blueprint) * (WATCHED if watched else 1.0)
    return (
        operations(blueprint, samples, length) / rate(budget)
        + passing / ((budget.weight_rate or WEIGHTS) * _together(budget))
        + calls / (budget.call_rate or CALLS)
    )


def _together(budget: Budget) -> float:
    """How much more all threads reach than one."""
    if torch.device(budget.device).type == "cuda":
        return 1.0
    return 1 + PARALLEL * (max(1, budget.threads) - 1)


def _batches(samples: int, budget: Budget) -> int:
    return -(-samples // max(1, budget.micro_batch))


def _layers(blueprint: Blueprint) -> int:
    return sum(stack.count for stack in blueprint.stacks)


def _unpacking(blueprint: Blueprint, budget: Budget) -> float:
    threads = max(1, budget.threads)
    if blueprint.quantisation:
        return blueprint.parameters / (UNPACK * threads)
    stored = blueprint.bytes / max(1, blueprint.parameters)
    widened = weight_dtype(blueprint, budget).itemsize > stored + 1
    return blueprint.parameters / (WIDEN * threads) if widened else 0.0
