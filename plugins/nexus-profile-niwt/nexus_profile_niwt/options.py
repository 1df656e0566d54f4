"""Options of the profiler."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import option


@dataclass(frozen=True, kw_only=True)
class NiwtOptions:
    """How much is looked at, and when a layer counts as critical."""

    samples: int = option(48, help="Samples that every ablation sees", low=4)
    pool: int = option(1024, help="Samples among which they are chosen, by key", low=4)
    threshold: float = option(0.02, help="Share of the loss above which a layer is critical", low=0, high=1)
    discoveries: float = option(0.05, help="Rate of false discoveries among the critical layers", low=0, high=1)
    draws: int = option(1000, help="Bootstrap draws behind every interval", low=100)
    layers: int = option(2, help="Critical layers whose states are kept, spread over the depth", low=1)
    rank: int = option(48, help="Most directions that a basis keeps", low=1)
    variance: float = option(0.95, help="Share of the variance at which a basis stops before that", low=0, high=1)
