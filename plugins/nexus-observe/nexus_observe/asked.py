"""Which taps a command asks for: layers by number or path, and what a text or a class gives besides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

import torch
from nexus_specs import SPECIAL_TAPS, Blueprint, Checkpoint, NexusError, Tap, is_output
from nexus_torch.shards import STATE


def wanted(blueprint: Blueprint, chosen: str) -> list[Tap]:
    """What is recorded: the chosen layers, and of what a model may give what this one has (one that reads pictures has
    no places in a text, one that hears no tokens of its frames). NexusError for a layer that is not there."""
    text = blueprint.gives == ("text",)
    taps = [Tap(path=name, optional=True) for name in (("tokens", "spans", "logprob") if text else ("output",))]
    for each in filter(None, (part.strip() for part in chosen.split(","))):
        taps.append(Tap(path=layer(blueprint, each) if re.fullmatch(r"[-+]?\d+", each) else each))
    return list({tap.path: tap for tap in taps}.values())           # asked for by name: not optional


def refuse_unknown(checkpoint: Checkpoint, taps: Sequence[Tap]) -> None:
    """NexusError for a module that the teacher has not, before anything is loaded."""
    text = checkpoint.blueprint.gives == ("text",)
    asked = [tap.path for tap in taps if "." in tap.path or (text and tap.path not in SPECIAL_TAPS)]
    if not asked:
        return
    known = {path: each for path, each in checkpoint.skeleton().named_modules() if path}
    for path in asked:
        if path not in known:
            near = get_close_matches(path, [*known, *SPECIAL_TAPS], 1, 0.6)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            raise NexusError(
                f"--taps {path}: {checkpoint.blueprint.head} has no such module.{meant} Numbers index the layers of "
                "its largest stack, from 0 on; `nexus inspect SOURCE` shows its stacks."
            )
        if type(known[path]).forward is torch.nn.Module.forward:
            inner = next((f" Name one of them: {path}.{name}." for name, _ in known[path].named_children()), "")
            raise NexusError(f"--taps {path}: it only holds other modules, and gives nothing itself.{inner}")


def layer(blueprint: Blueprint, number: str) -> str:
    """The path of a layer of the largest stack."""
    if not blueprint.stacks:
        raise NexusError(f"--taps {number}: {blueprint.head} has no stack of layers. Name modules by their path.")
    stack, at = blueprint.largest_stack, int(number)
    if not -stack.count <= at < stack.count:
        raise NexusError(f"--taps {number}: the stack '{stack.path}' has the layers 0 to {stack.count - 1}.")
    return stack.layers[at]


def records(tap: Tap) -> tuple[str, ...]:
    """The names under which a tap is stored: logits as the likeliest tokens and some of the rest, as `extract` does."""
    if tap.path == "logits":
        return "ids", "probabilities"
    return (tap.path if is_output(tap.path) else STATE + tap.path,)
