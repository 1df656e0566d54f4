"""Which samples pass together, where a work is cut short and goes on."""

from __future__ import annotations

import math

from nexus_specs import Budget

TOGETHER = 32
"""Micro-batches that an engine groups together, by length as a rule."""


def whole_batches(per_shard: int, micro_batch: int) -> int:
    """Samples of a shard, at least so many as are asked for: a whole number of such groups. So the same samples pass
    together when an extraction goes on behind the shards that are there, and the same bits come out. (0 samples at
    once: as many as the engine chooses, which are at most the usual number, halved.)

    >>> [whole_batches(256, micro) for micro in (0, 1, 3, 8, 16)]
    [256, 256, 768, 256, 512]
    """
    return math.lcm(per_shard, TOGETHER * (micro_batch or Budget.micro_batch))
