"""The engine: measures the machine, estimates, and loads checkpoints into rooms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

import torch
from nexus_specs import Blueprint, Budget, Checkpoint, Estimate, Machine, NexusError, Teacher

from .loading import Resident, Room, Streamed
from .machine import measure
from .teacher import SliTeacher

WORKING = 1.25
"""Memory that running takes, as a multiple of the weights it holds."""
FLOAT, RATE, TOKENS = 4, 40e9, 256
"""Bytes of a weight while it runs; operations a second of one thread, and tokens of a sample, where unknown."""


class Sli:
    """Kind "engine": Sequential Layer Ingestion."""

    def machine(self, folder: Path) -> Machine:
        """Measures this machine; about a second."""
        return measure(folder)

    def estimate(self, blueprint: Blueprint, samples: int, edits: int, budget: Budget) -> Estimate:
        """What one observation of `samples` samples with `edits` ablations costs."""
        how = residency(blueprint, budget)
        tokens = min(blueprint.context or TOKENS, TOKENS)
        passes = 1 + edits / 2
        operations = 2 * blueprint.active_parameters * tokens * samples * passes
        layers = [size for stack in blueprint.stacks for size in stack.layer_parameters] or [0]
        held = blueprint.parameters - (sum(layers) - 2 * max(layers) if how == "stream" else 0)
        return Estimate(
            seconds=operations / (RATE * max(1, budget.threads)),
            read=blueprint.bytes,
            memory=round(WORKING * FLOAT * held),
            passes=round(passes),
            how="everything in memory" if how == "resident" else "layer by layer: it does not fit in memory",
        )

    def load(self, checkpoint: Checkpoint, budget: Budget) -> AbstractContextManager[Teacher]:
        """The checkpoint, running until the context ends."""
        return _loaded(checkpoint, budget)


@contextmanager
def _loaded(checkpoint: Checkpoint, budget: Budget) -> Iterator[Teacher]:
    if budget.quantise:
        raise NexusError(f"This engine does not quantise yet ('{budget.quantise}'). Leave `quantise` empty.")
    if budget.device == "cuda" and not torch.cuda.is_available():
        raise NexusError("No CUDA device is here. Set run.device to cpu or auto.")
    stream = residency(checkpoint.blueprint, budget) == "stream"
    room: Room = (Streamed if stream else Resident)(checkpoint, budget.device)
    try:
        yield SliTeacher(checkpoint, room, budget)
    finally:
        room.close()


def residency(blueprint: Blueprint, budget: Budget) -> Literal["resident", "stream"]:
    """Resident where the weights fit in the memory that the budget names (0: no limit is known), else streamed."""
    if budget.residency == "offload":
        raise NexusError("This engine does not offload yet. Set residency to auto, resident or stream.")
    if budget.residency != "auto":
        return budget.residency
    needed = WORKING * FLOAT * blueprint.parameters
    return "stream" if budget.memory and needed > budget.memory else "resident"
