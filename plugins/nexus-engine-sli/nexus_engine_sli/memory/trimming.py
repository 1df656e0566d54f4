"""Trims the heap while a model runs: what a block leaves behind it are holes that the next one does not fit into."""

from __future__ import annotations

from torch import nn

from .allocating import allow, give_back

LARGE = 100_000_000
"""Parameters from which on it is looked before each block whether the heap has grown: that takes some 10 us."""


def trim_between(module: nn.Module, parameters: int, grown: int) -> None:
    """From now on the heap is trimmed before each of the blocks that follow each other in a module of so many
    parameters, if it has grown by so many bytes: layers, and what these are made of (the stages of a Swin have up to
    18)."""
    if parameters < LARGE:
        return
    allow(grown)
    for each in {id(block): block for block in _following(module)}.values():
        each.register_forward_pre_hook(_trim)               # before it: who looks at what it gives, asks for that


def _following(module: nn.Module) -> list[nn.Module]:
    several = (each for each in module.modules() if isinstance(each, (nn.ModuleList, nn.Sequential)))
    return [block for blocks in several for block in blocks]


def _trim(*_: object) -> None:
    give_back()
