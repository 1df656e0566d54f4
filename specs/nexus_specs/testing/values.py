"""Tensors, arrays and lists, compared alike, so that the kit itself needs none of their libraries."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any


def shape(value: Any) -> list[int]:
    """The shape of a tensor, an array or nested lists; [] for a number."""
    if hasattr(value, "shape"):
        return [int(size) for size in value.shape]
    if isinstance(value, (list, tuple)):
        return [len(value), *(shape(value[0]) if value else [])]
    return []


def flat(value: Any) -> list[float]:
    """All numbers in order."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in flat(item)]
    return [float(value)]


def finite(value: Any) -> bool:
    """Whether all numbers are."""
    return all(math.isfinite(number) for number in flat(value))


def close(one: Any, other: Any, tolerance: float = 1e-4) -> bool:
    """Whether two values have one shape and differ by at most `tolerance`, relative to the largest number in them."""
    if shape(one) != shape(other):
        return False
    left, right = flat(one), flat(other)
    scale = max((abs(number) for number in left if math.isfinite(number)), default=1.0)
    return all(_near(a, b, tolerance * max(scale, 1.0)) for a, b in zip(left, right, strict=True))


def _near(one: float, other: float, distance: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other)) or abs(one - other) <= distance


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the last digit."""
    return close(one, other, 0.0)


def is_tensor(value: Any) -> bool:
    """Whether it is a torch tensor."""
    return hasattr(value, "detach") and hasattr(value, "requires_grad")


def same_batch(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names of the entries in which two batches differ."""
    names = sorted(set(one) | set(other))
    return [name for name in names if name not in one or name not in other or not _equal(one[name], other[name])]


def _equal(one: Any, other: Any) -> bool:
    return same(one, other) if hasattr(one, "shape") else bool(one == other)


def is_json(value: Any) -> bool:
    """Whether JSON keeps it as it is (tuples may become lists)."""
    try:
        return bool(json.loads(json.dumps(value)) == _listed(value))
    except (TypeError, ValueError):
        return False


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
