"""Modules that are tapped or edited: whether the model has them, and calls them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from nexus_specs import SPECIAL_TAPS, Blueprint, Edit, NexusError, is_output
from torch import nn

from .taps import Taps


def check_named(module: nn.Module, blueprint: Blueprint, taps: Taps, edits: Sequence[Edit]) -> None:
    """NexusError for a name that is no module's, and for a module that only holds others: nobody calls it."""
    known = {path for path, _ in module.named_modules() if path}
    gives = blueprint.gives                                 # PersonaPlex: text, and codes, which a tap may name
    asked = {tap.path for tap in taps.wanted if "text" in gives and not is_output(tap.path)} - set(gives)
    for path in (*taps.modules, *asked, *(path for edit in edits for path in edit.modules)):
        if path not in known:
            raise NexusError(_unknown(path, known, blueprint))
        if type(inside := module.get_submodule(path)).forward is nn.Module.forward:
            inner = next((f" Name one of them: {path}.{name}." for name, _ in inside.named_children()), "")
            raise NexusError(f"'{path}' only holds other modules, and gives nothing itself.{inner}")


def _unknown(path: str, known: set[str], blueprint: Blueprint) -> str:
    near = get_close_matches(path, [*known, *SPECIAL_TAPS], 1, 0.7)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    layers = ", ".join(stack.layers[0] for stack in blueprint.stacks) or "none"
    return f"The model has no module '{path}'.{meant} Its stacks begin at: {layers}."
