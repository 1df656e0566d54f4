"""Which samples stand in which batch: a pure function of the seed, the keys and the batch's number.

So the order in which a reader gives them changes nothing, and resuming needs the number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

POOL = 16
"""Batches in which samples of like length are brought together."""


class Sampler:
    """Endless epochs of shuffled batches; positions refer to the given keys."""

    def __init__(self, keys: Sequence[str], lengths: Sequence[int], batch: int, seed: int) -> None:
        self.keys, self.lengths, self.seed = tuple(keys), tuple(lengths), seed
        self.batch = min(batch, len(keys))
        self.per_epoch = len(keys) // self.batch
        self._epoch = lru_cache(maxsize=1)(self._shuffled)

    def positions(self, number: int) -> list[int]:
        """Of the batch with this number, counted through all epochs."""
        epoch, place = divmod(number, self.per_epoch)
        return self._epoch(epoch)[place]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        """Shuffled, cut in pools, sorted by length within a pool, batched, batches of a pool shuffled again. What
        does not fill a batch waits for another epoch."""
        order = sorted(range(len(self.keys)), key=lambda at: self._draw(epoch, self.keys[at]))
        order = order[: self.per_epoch * self.batch]
        batches: list[list[int]] = []
        for first in range(0, len(order), POOL * self.batch):
            pool = sorted(order[first : first + POOL * self.batch], key=lambda at: self.lengths[at])
            cut = [pool[i : i + self.batch] for i in range(0, len(pool), self.batch)]
            batches += sorted(cut, key=lambda rows: self._draw(epoch, "batch" + self.keys[rows[0]]))
        return batches

    def _draw(self, epoch: int, key: str) -> bytes:
        return blake2b(f"{self.seed}/{epoch}/{key}".encode(), digest_size=16).digest()


def turns(amounts: Sequence[float], steps: int, balance: float) -> list[tuple[int, int]]:
    """Whose turn each step is, and its how-manieth: as evenly spread as the proportion amounts ** balance allows.

    >>> turns([3, 1], 5, balance=1.0)
    [(0, 0), (0, 1), (1, 0), (0, 2), (0, 3)]
    """
    parts = [amount**balance for amount in amounts]
    total, taken, order = sum(parts), [0] * len(parts), []
    for step in range(steps):
        behind = [(step + 1) * part / total - count for part, count in zip(parts, taken, strict=True)]
        turn = max(range(len(parts)), key=lambda at: (behind[at], -at))
        order.append((turn, taken[turn]))
        taken[turn] += 1
    return order
