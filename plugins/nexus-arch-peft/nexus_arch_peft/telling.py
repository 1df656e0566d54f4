"""What an adapter's settings tell the kinds that make a weight anew, checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nexus_specs import NexusError

Check = Callable[[Any], bool]


def _whole(least: int, most: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _switch(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


TOLD: Mapping[str, Mapping[str, tuple[Any, Check, str]]] = {
    "OFT": {
        "use_cayley_neumann": (True, _switch, "true or false"),
        "num_cayley_neumann_terms": (5, _whole(1, 100), "a whole number from 1 to 100"),
        "coft": (False, lambda value: value is False, "false: what is projected again at every step is not read"),
    },
    "HRA": {"apply_GS": (False, _switch, "true or false")},
    "FOURIERFT": {
        "random_loc_seed": (777, _whole(0, (1 << 63) - 1), "a whole number"),
        "scaling": (150.0, _number, "a finite number"),
    },
    "MISS": {"init_weights": (True, lambda value: value in (True, False, "bat", "mini"), 'true, false, "bat", "mini"')},
    "VERA": {"save_projection": (True, lambda value: value is True,
                                 "true: without the matrices that all modules share nothing can be merged")},
}  # fmt: skip
"""Kind -> field -> what PEFT takes where it is not there, whether a value is read, and what would be."""


def told(place: Path, found: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The settings of an adapter of such a kind. NexusError for one that is not read; `place` names the file."""
    made: dict[str, Any] = {}
    for name, (default, right, allowed) in TOLD.get(kind, {}).items():
        made[name] = found.get(name, default)
        if not right(made[name]):
            raise NexusError(
                f"{name} is {made[name]!r} in '{place}'; {allowed}. Save the adapter so, or merge it once with PEFT."
            )
    return made
