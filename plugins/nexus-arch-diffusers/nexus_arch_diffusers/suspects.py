"""Which field of a configuration is likely wrong, where a class fails on one and says nothing of its name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any


def suspects(kind: type, config: Mapping[str, Any]) -> str:
    """A sentence about the fields that are of another sort than the class's own defaults; "" where none is.

    >>> class Model:
    ...     def __init__(self, heads: int = 8, sizes: tuple[int, ...] = (4, 8), scale: float | None = None): ...
    >>> suspects(Model, {"heads": None, "sizes": [16, 32], "scale": 0.5})
    ' Look at heads = null (the class has 8).'
    """
    known = inspect.signature(kind.__init__).parameters        # type: ignore[misc]
    odd = [
        f"{name} = {json.dumps(config[name], default=str)[:40]} (the class has {json.dumps(each.default)[:40]})"
        for name, each in known.items()
        if name in config and each.default is not each.empty and _odd(config[name], each.default)
    ]
    return f" Look at {', '.join(odd)}." if odd else ""


def _odd(value: Any, usual: Any) -> bool:
    """Whether a value is none that stands for another of its sort: lists count as the numbers in them do, since many
    classes take one for all their blocks."""
    if usual is None or isinstance(usual, bool):
        return False
    if isinstance(usual, (list, tuple)):
        none, first = value is None or (value == [] and len(usual) > 0), next(iter(usual), None)
        return none or any(_odd(each, first) for each in _all(value))
    if isinstance(usual, (int, float)):
        return not _all(value) or any(_bad(each, usual) for each in _all(value))
    return value is None or isinstance(value, str) is not isinstance(usual, str)


def _all(value: Any) -> list[Any]:
    return [each for part in value for each in _all(part)] if isinstance(value, (list, tuple)) else [value]


def _bad(value: Any, usual: float) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return not number or (usual > 0 and value <= 0)
