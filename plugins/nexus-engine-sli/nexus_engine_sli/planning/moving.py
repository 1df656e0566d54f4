"""What of a blueprint comes and goes where layers are streamed."""

from __future__ import annotations

import math
from dataclasses import replace

from nexus_specs import Blueprint

from ..weights.standing import convolves, standing


def moved(blueprint: Blueprint, most: float) -> Blueprint:
    """The same with those stacks alone whose layers come and go, where a unit may take so many bytes."""
    sizes = {stack.path: stack.layer_bytes for stack in blueprint.stacks}
    stays = standing(sizes, 0 if math.isinf(most) else most) if convolves(blueprint) else frozenset[str]()
    if not stays:
        return blueprint
    stacks = tuple(stack for stack in blueprint.stacks if stack.path not in stays)
    held = {path: most for path, most in blueprint.held.items() if not {path, path.rpartition(".")[0]} & stays}
    if gone := [blueprint.held[path] for path in ("", *stays) if path in blueprint.held]:
        held[""] = (max(narrow for narrow, _ in gone), max(wide for _, wide in gone))
    return replace(blueprint, stacks=stacks, held=held)
