"""Warm-up, stable, decay (WSD): one stable run can be branched, and short budgets like its high mean rate."""

from __future__ import annotations

import math


def share(step: int, steps: int, warmup: float, decay: float) -> float:
    """The share of the full rate at `step` of `steps`: linear rise, plateau, then 1 - sqrt (Hägele et al. 2024).

    `warmup` and `decay` are shares of the steps.

    >>> [round(share(step, 10, 0.2, 0.5), 2) for step in range(10)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.55, 0.37, 0.23, 0.11]
    """
    rise = min(1.0, (step + 1) / max(1.0, warmup * steps))
    start = steps * (1 - decay)
    if step <= start or start >= steps:
        return rise
    return min(rise, 1 - math.sqrt((step - start) / (steps - start)))
