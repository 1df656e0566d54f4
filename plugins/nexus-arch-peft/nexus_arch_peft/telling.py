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


SAVED: Mapping[str, tuple[Any, Check, str]] = {
    "save_projection": (True, lambda value: value is True,
                        "true: without the matrices that all modules share nothing can be merged"),
}  # fmt: skip
TOLD: Mapping[str, Mapping[str, tuple[Any, Check, str]]] = {
    "OFT": {
        "use_cayley_neumann": (True, _switch, "true or false"),
        "num_cayley_neumann_terms": (5, _whole(1, 100), "a whole number from 1 to 100"),
        "coft": (False, lambda value: value is False, "false: what is projected again at every step is not read"),
    },
    "GRALORA": {"alpha": (64, _number, "a finite number")},
    "HRA": {"apply_GS": (False, _switch, "true or false")},
    "FOURIERFT": {
        "random_loc_seed": (777, _whole(0, (1 << 63) - 1), "a whole number"),
        "scaling": (150.0, _number, "a finite number"),
    },
    "MISS": {"init_weights": (True, lambda value: value in (True, False, "bat", "mini"), 'true, false, "bat", "mini"')},
    "RANDLORA": {
        "save_projection": (True, lambda value: value is True,
                            "true: without the bases that all modules share nothing can be merged"),
        "randlora_alpha": (640, _number, "a finite number"),
        "r": (32, _whole(1, 1 << 20), "a whole number above 0"),
    },
    "VBLORA": {"topk": (2, _whole(1, 1 << 20), "a whole number above 0")},
    "ROAD": {
        "variant": ("road_1", lambda value: value in ("road_1", "road_2", "road_4"), "road_1, road_2 or road_4"),
        "group_size": (64, lambda value: _whole(2, 1 << 20)(value) and value % 2 == 0, "an even number above 0"),
    },
    "VERA": SAVED,
    "PVERA": {**SAVED, "sample_at_inference": (False, lambda value: value is False, "false: a draw is no weight")},
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
    return made | ({"scaling": made["randlora_alpha"] / made["r"]} if kind == "RANDLORA" else {})


def tokens(place: Path, found: Mapping[str, Any], kind: str) -> Mapping[str, tuple[int, ...]]:
    """End of a module's path ("": any) -> the tokens whose rows an adapter holds. NexusError for what names none."""
    name = "token_indices" if kind == "TRAINABLE_TOKENS" else "trainable_token_indices"
    given = found.get(name)
    if not given:
        return {}
    ends = given if isinstance(given, Mapping) else {"": given}
    for each in ends.values():
        if not isinstance(each, list) or not all(_whole(0, (1 << 31) - 1)(token) for token in each):
            raise NexusError(f"{name} is {str(given)[:80]} in '{place}'; numbers of tokens. Fetch the adapter again.")
    return {str(end): tuple(each) for end, each in ends.items()}


def parameters(place: Path, found: Mapping[str, Any]) -> tuple[str, ...]:
    """Ends of the names of parameters that an adapter targets themselves. NexusError for what names none."""
    given = found.get("target_parameters") or []
    if not isinstance(given, list) or not all(isinstance(each, str) and each for each in given):
        raise NexusError(f"target_parameters is {str(given)[:80]} in '{place}'; names of parameters. Fetch it again.")
    return tuple(given)
