"""How much each layer matters: the share of what there is to lose that its ablation costs, with an interval."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from nexus_specs import LayerProfile

from .judging import Judge
from .options import NiwtOptions

NOTHING = 1e-9
"""Less than this between teacher and floor is rounding, as with one sample, whose mean answer is its own."""


def importance(
    judge: Judge, rows: Mapping[str, np.ndarray], floor: float, options: NiwtOptions, seed: int
) -> list[LayerProfile]:
    """Profiles by edit (the name of a layer; "" is the intact teacher): (loss(ablated) - loss) / |floor - loss|, its
    95 % interval from a paired bootstrap over samples, and whether it is critical. What makes a teacher worse counts as
    its loss also where the teacher is worse than the floor."""
    intact = rows[""]
    size = len(intact)
    picks = np.random.default_rng(seed).integers(size, size=(options.draws, size))
    picks[0] = np.arange(size)                              # the first draw is the sample itself
    whole = judge.scores(intact, picks)
    reach = np.abs(floor - whole)
    falls = floor > whole[0] if judge.rises is None else not judge.rises       # else a teacher is better than its floor
    worse = 1.0 if falls else -1.0
    told = reach > NOTHING                                  # where there is nothing to lose, no layer loses any of it
    shares = {
        path: np.where(told, worse * (judge.scores(each, picks) - whole), 0.0) / np.where(told, reach, 1.0)
        for path, each in rows.items()
        if path
    }
    critical = discoveries(
        {path: float((share[1:] <= options.threshold).mean()) for path, share in shares.items()}, options.discoveries
    )
    return [_layer(path, share, critical=path in critical) for path, share in shares.items()]


def discoveries(chances: Mapping[str, float], rate: float) -> frozenset[str]:
    """What remains after Benjamini and Hochberg's step-up at a rate of false discoveries."""
    ordered = sorted(chances.items(), key=lambda item: item[1])
    passed = [place for place, (_, chance) in enumerate(ordered, 1) if chance <= rate * place / len(ordered)]
    return frozenset(path for path, _ in ordered[: max(passed, default=0)])


def _layer(path: str, share: np.ndarray, *, critical: bool) -> LayerProfile:
    low, high = np.quantile(share[1:], (0.025, 0.975))
    return LayerProfile(path=path, importance=float(share[0]), low=float(low), high=float(high), critical=critical)
