"""How a checkpoint is held, from its blueprint, the memory that is free and the batch: what fits, and why.

    choose(blueprint, budget)   # Way(residency="resident", quantise="", dtype=torch.bfloat16, memory=..., why="...")

In this order, the first that fits: **resident** (all weights in the dtype that they run in), **offload** (all weights
in RAM as they are stored, a layer at a time in the dtype or on the device where it runs), **int8**, **nf4** (resident,
layers in eight or four bits), **stream** (layers come from the disk). More than 60 B parameters stream. The first two
and the last change no result; int8 and nf4 do, so they are chosen only where the budget leaves it open
(`quantise: auto`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from nexus_specs import Blueprint, Budget, NexusError

from .layerwise import layerwise, offloaded
from .machine import free_memory
from .predicting import activations, resident, weight_dtype

LARGE = 60_000_000_000
"""Parameters from which on a checkpoint streams unless the registry says otherwise."""
LONG = 2048
"""Tokens of a sample for which a micro-batch must fit where nobody says how long they are."""
SHARE = 0.8
"""Of the free memory where the budget names no limit: the rest is for what else runs here."""

Residency = Literal["resident", "offload", "stream"]
Quantise = Literal["", "nf4", "int8"]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a checkpoint is held."""

    residency: Residency
    quantise: Quantise
    dtype: torch.dtype
    """Of the weights that are not quantised."""
    memory: int
    """Most bytes that it takes where it runs (RAM, or the device's)."""
    why: str


@dataclass(frozen=True)
class Free:
    """Bytes that may be taken: where products are computed, and of RAM. The same where that is one."""

    device: int
    host: int

    @classmethod
    def of(cls, budget: Budget) -> Free:
        """What the budget allows; where it names no limit, most of what is free now."""
        host = round(SHARE * free_memory())
        if torch.device(budget.device).type == "cuda":
            free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else 0
            return cls(device=budget.memory or round(SHARE * free), host=host)
        return cls(device=budget.memory or host, host=budget.memory or host)


def choose(blueprint: Blueprint, budget: Budget, free: Free | None = None, tokens: float = 0.0) -> Way:
    """The first way that fits, with samples of so many tokens (0: not known). NexusError where the budget asks for what
    this machine has not."""
    free = free or Free.of(budget)
    ways = list(_ways(blueprint, budget, tokens))
    if budget.residency == "auto" and blueprint.parameters > LARGE:
        way = next(each for each in ways if each.residency == "stream")
        return replace(way, why=f"{blueprint.parameters / 1e9:.0f} B parameters are more than {LARGE // 10**9} B")
    fitting = [each for each in ways if _fits(each, blueprint, free)]
    way = fitting[0] if fitting else ways[-1]
    return replace(way, why=_reason(way, ways, free))


def place(blueprint: Blueprint, budget: Budget, tokens: float = 0.0) -> Budget:
    """The budget with residency, quantisation and micro-batch settled; what was settled before stays."""
    settled = replace(budget, micro_batch=budget.micro_batch or _batch(blueprint, budget, tokens or LONG))
    way = choose(blueprint, settled, tokens=tokens)
    return replace(settled, residency=way.residency, quantise=way.quantise)


def _ways(blueprint: Blueprint, budget: Budget, tokens: float) -> Iterator[Way]:
    """What the budget allows, the best first; at least one."""
    wanted, open_ = budget.residency, budget.quantise == "auto"
    kept: Quantise = "" if budget.quantise == "auto" else budget.quantise
    if wanted in ("auto", "resident"):
        yield _resident(blueprint, budget, kept, tokens)
    if wanted in ("auto", "offload"):
        yield _offloaded(blueprint, budget, kept, tokens)
    if wanted in ("auto", "resident") and open_:
        yield _resident(blueprint, budget, "int8", tokens)
        yield _resident(blueprint, budget, "nf4", tokens)
    if wanted in ("auto", "stream"):
        with_ = replace(budget, quantise=kept)
        memory = layerwise(blueprint, with_, tokens)
        yield Way(residency="stream", quantise=kept, dtype=weight_dtype(blueprint, with_), memory=memory, why="")


def _resident(blueprint: Blueprint, budget: Budget, quantise: Quantise, tokens: float) -> Way:
    with_ = replace(budget, quantise=quantise)
    memory, dtype = resident(blueprint, with_, tokens), weight_dtype(blueprint, with_)
    return Way(residency="resident", quantise=quantise, dtype=dtype, memory=memory, why="")


def _offloaded(blueprint: Blueprint, budget: Budget, quantise: Quantise, tokens: float) -> Way:
    with_ = replace(budget, quantise=quantise)
    here = torch.device(budget.device).type == "cpu"
    memory = (offloaded if here else layerwise)(blueprint, with_, tokens)
    dtype = weight_dtype(blueprint, with_)
    return Way(residency="offload", quantise=quantise, dtype=dtype, memory=memory, why="")


def _fits(way: Way, blueprint: Blueprint, free: Free) -> bool:
    enough = way.memory <= free.device
    return enough and (way.residency != "offload" or blueprint.bytes <= free.host)


def _reason(way: Way, ways: list[Way], free: Free) -> str:
    kind = f"layers in {way.quantise}, the rest in" if way.quantise else "in"
    said, first = f"{size(way.memory)} of {size(free.device)}, {kind} {_name(way.dtype)}", ways[0]
    if way.memory > free.device:
        if way.residency == "stream":
            return f"{said}; layers are run in parts, if these fit"
        return f"{said}; it does not fit, and nothing that is allowed does"
    if way != first and first.residency == "resident":
        return f"{said}; resident would take {size(first.memory)}"
    return said


def _batch(blueprint: Blueprint, budget: Budget, tokens: float) -> int:
    """The usual micro-batch, halved until its tensors take no more than a quarter of the memory."""
    free, batch = Free.of(budget).device, Budget.micro_batch
    while batch > 1 and _activations(blueprint, budget, batch, tokens) > free // 4:
        batch //= 2
    return batch


def _activations(blueprint: Blueprint, budget: Budget, batch: int, tokens: float) -> int:
    return activations(blueprint, replace(budget, micro_batch=batch), weight_dtype(blueprint, budget), tokens)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def size(number: float) -> str:
    """Bytes for people.

    >>> size(1_234_000_000), size(5_600_000), size(300_000)
    ('1.2 GB', '6 MB', '0.3 MB')
    """
    if number < 1e6:
        return f"{number / 1e6:.1f} MB"
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def refuse_missing(budget: Budget) -> None:
    """NexusError for a device that is not here."""
    if torch.device(budget.device).type == "cuda" and not torch.cuda.is_available():
        raise NexusError("No CUDA device is here. Set run.device to cpu or auto.")
