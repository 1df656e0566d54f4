"""What of a model runs with states of its own: what reads, what sees; where samples showed it, every stack seen."""

from __future__ import annotations

from dataclasses import replace

from nexus_specs import Blueprint, Stack

from . import pieces


def apart(blueprint: Blueprint) -> list[Blueprint]:
    """What reads and what sees, where a model does both: their layers run one after the other, each with states of its
    own. Of the latter what only a text has is left out. Anything else as it is."""
    towers = tuple(stack for stack in blueprint.stacks if stack.sees)
    others = tuple(stack for stack in blueprint.stacks if not stack.sees)
    if blueprint.held:
        return _apart(blueprint, towers, others)
    if not (towers and others and blueprint.seen):
        return [blueprint]
    seeing = replace(blueprint, stacks=towers, gives=(), context=1, places=0, alive=0)
    return [replace(blueprint, stacks=others, seen=0), seeing]


def _apart(blueprint: Blueprint, towers: tuple[Stack, ...], others: tuple[Stack, ...]) -> list[Blueprint]:
    """Likewise, every stack by itself, since samples showed what is there while it runs; and a text as it is long."""
    reads = pieces.reads_text(blueprint)
    found = [
        replace(blueprint, stacks=(each,), gives=(), takes=("image",),
                seen=blueprint.seen if stack in towers or not reads else 0,
                held={each.path: blueprint.held.get(each.path, blueprint.held[stack.path])})
        for stack in blueprint.stacks if stack.path in blueprint.held and stack.path not in blueprint.unmet
        for each in _alike(blueprint, stack)
    ]  # fmt: skip
    return [*found, *([replace(blueprint, stacks=others, seen=0, held={"": (0, 0)})] if reads and others else [])]


def _alike(blueprint: Blueprint, stack: Stack) -> list[Stack]:
    """A stack whose layers have as much of a sample each; else each layer by itself, under its own path."""
    if not any(layer in blueprint.held for layer in stack.layers):
        return [stack]
    return [
        replace(
            stack, path=path, count=1, widths=stack.widths[at : at + 1], layer_bytes=stack.layer_bytes[at : at + 1],
            layer_parameters=stack.layer_parameters[at : at + 1], layer_active=stack.layer_active[at : at + 1],
        )
        for at, path in enumerate(stack.layers)
    ]  # fmt: skip


def place(blueprint: Blueprint, stack: Stack) -> int:
    """Which stack of a model it is, or has it as a layer."""
    return next(at for at, each in enumerate(blueprint.stacks) if stack.path in (each.path, *each.layers))


def behind(blueprint: Blueprint, stack: Stack) -> int:
    """Stored bytes of the largest that arrives while a stack runs, or one layer of it: another layer, or the first of
    the next stack, or a table in between."""
    at = place(blueprint, stack)
    whole = blueprint.stacks[at]
    then = [piece.stored for each, piece in pieces.run(blueprint) if each.behind == at + 1]
    then = then or [each.layer_bytes[0] for each in blueprint.stacks[at + 1 : at + 2] if each.layer_bytes]
    if stack.path != whole.path:
        return next(iter((*whole.layer_bytes, *then)[whole.layers.index(stack.path) + 1 :]), 0)
    return max((*(whole.layer_bytes[1:] or whole.layer_bytes), *then), default=0)
