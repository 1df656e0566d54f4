"""The engine: measures the machine, estimates, and loads checkpoints into rooms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from nexus_specs import Blueprint, Budget, Checkpoint, Estimate, Machine, Teacher

from .planning import headroom
from .planning.costs import cost
from .planning.fitting import Fitting
from .planning.headroom import Way
from .planning.machine import measure
from .rooms.offloaded import Offloaded
from .rooms.resident import Resident, Room
from .rooms.streamed import Streamed
from .teacher import SliTeacher
from .weights.checking import check_experts
from .weights.placing import bare

ROOMS: dict[str, type[Resident] | type[Streamed]] = {"resident": Resident, "offload": Offloaded, "stream": Streamed}
WORDS = {"resident": "everything in memory", "offload": "in memory as stored, run layer by layer"}


class Sli:
    """Kind "engine": Sequential Layer Ingestion."""

    def machine(self, folder: Path) -> Machine:
        """Measures this machine; about a second."""
        return measure(folder)

    def place(self, blueprint: Blueprint, budget: Budget, tokens: float = 0.0) -> Budget:
        """The budget with residency, quantisation and micro-batch settled from the memory, where they are open, for
        samples of so many tokens."""
        return headroom.place(blueprint, budget, tokens)

    def estimate(
        self, blueprint: Blueprint, samples: int, edits: int, budget: Budget, tokens: float = 0.0
    ) -> Estimate:
        """What one observation of `samples` samples, of `tokens` tokens in the mean, with `edits` ablations costs."""
        together = min(budget.micro_batch, samples) or budget.micro_batch       # no more pass than there are
        budget = replace(budget, micro_batch=together)
        way = headroom.choose(blueprint, budget, tokens=tokens)
        found = cost(blueprint, samples, edits, budget, way, tokens)
        return Estimate(
            seconds=found.seconds,
            read=blueprint.bytes,
            memory=found.memory,
            disk=found.disk,
            passes=round(found.passes),
            how=described(way),
        )

    def check(self, checkpoint: Checkpoint, budget: Budget) -> None:
        """NexusError, in the words of `load`, where the memory does not hold the smallest pieces that layers can be run
        in, which no blueprint tells. Reads no weights; makes the skeleton."""
        way = headroom.choose(checkpoint.blueprint, budget)
        if way.residency == "stream" and budget.memory:
            copied = torch.device(budget.device).type != "cpu"
            Fitting(checkpoint, bare(checkpoint, "cpu", way.dtype), way.dtype, copied).divided(budget.memory)

    def load(self, checkpoint: Checkpoint, budget: Budget) -> AbstractContextManager[Teacher]:
        """The checkpoint, running until the context ends."""
        return _loaded(checkpoint, budget)


def described(way: Way) -> str:
    """The residency and why, for people: "resident: everything in memory, 1.2 GB of 9.6 GB, in bfloat16"."""
    name = f"{way.residency} {way.quantise}".strip()
    return f"{name}: {WORDS.get(way.residency, 'layer by layer')}, {way.why}"


@contextmanager
def _loaded(checkpoint: Checkpoint, budget: Budget) -> Iterator[Teacher]:
    headroom.refuse_missing(budget)
    if not budget.micro_batch:
        budget = replace(budget, micro_batch=headroom.place(checkpoint.blueprint, budget).micro_batch)
    way = headroom.choose(checkpoint.blueprint, budget)
    check_experts(checkpoint)
    make = ROOMS[way.residency]
    room: Room = make(checkpoint, budget.device, dtype=way.dtype, quantise=way.quantise, budget=budget)
    teacher = SliTeacher(checkpoint, room, budget)
    try:
        yield teacher
    finally:
        teacher.closed = True
        room.close()
