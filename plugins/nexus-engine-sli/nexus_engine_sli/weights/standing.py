"""Stacks that are small beside others: their layers stay, and samples go through them at once. If each came by itself,
every sample would wait between two of them with a state that may be larger than they are (convolutions over sounds)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

STANDING, WORTH = 32 << 20, 1 << 20
"""Bytes that such a stack has at most, or an eighth of what a unit may have if that is less; those that the largest
layer has at least: in a tiny model nothing is gained, and every layer comes by itself."""


def standing(stacks: Mapping[str, Sequence[int]], most: float = 0) -> frozenset[str]:
    """Those of some stacks, by their path, of which all layers together are no larger than one of another stack. Of
    each are given the stored bytes of its layers.

    >>> MB = 1 << 20
    >>> sorted(standing({"convolutions": [3 * MB, 4 * MB], "layers": [12 * MB, 12 * MB]}))
    ['convolutions']
    >>> sorted(standing({"a": [2 * MB, 2 * MB], "b": [3 * MB, 3 * MB]}))
    []
    """
    largest = max((size for sizes in stacks.values() for size in sizes), default=0)
    if largest < WORTH:
        return frozenset()
    bound = min(STANDING, most / 8 if most else STANDING, largest)
    return frozenset(path for path, sizes in stacks.items() if 0 < sum(sizes) <= bound and max(sizes) < largest)
