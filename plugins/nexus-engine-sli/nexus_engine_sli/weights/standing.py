"""Stacks that are small beside those behind them: their layers stay, and samples go through them at once. If each came
by itself, every sample would wait between two of them with a state that may be larger than they are (convolutions over
sounds)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nexus_specs import Blueprint

STANDING, WORTH = 32 << 20, 1 << 20
"""Bytes that such a stack has at most, or an eighth of what a unit may have if that is less; those that it
has at least: in a tiny model nothing is gained, and every layer comes by itself."""


def convolves(blueprint: Blueprint) -> bool:
    """Whether convolutions make long states of a sound before other layers read them."""
    return blueprint.frames > 0 and "audio" in blueprint.takes


def standing(stacks: Mapping[str, Sequence[int]], most: float = 0) -> frozenset[str]:
    """Those of some stacks, by their path and in the model's order, of which all layers together are no larger than one
    of a stack behind them. Of each are given the stored bytes of its layers.

    >>> MB = 1 << 20
    >>> sorted(standing({"convolutions": [3 * MB, 4 * MB], "layers": [12 * MB, 12 * MB], "behind": [MB]}))
    ['convolutions']
    >>> sorted(standing({"a": [4 * MB, 4 * MB], "b": [6 * MB, 6 * MB]}))
    []
    """
    found, behind = set[str](), 0
    for path, sizes in reversed(stacks.items()):
        bound = min(STANDING, most / 8 if most else STANDING, behind)
        if WORTH <= sum(sizes) <= bound:
            found.add(path)
        behind = max(behind, *sizes, 0)
    return frozenset(found)
