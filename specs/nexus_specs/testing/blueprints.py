"""A blueprint of a small text decoder, for components that ask what a core or a teacher is."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..models import Blueprint, Stack

STACK = Stack(
    path="model.layers",
    count=2,
    widths=(32, 32),
    layer_bytes=(49_152, 49_152),
    layer_parameters=(12_288, 12_288),
)
SMALL = Blueprint(
    family="llama",
    head="LlamaForCausalLM",
    takes=("text",),
    gives=("text",),
    stacks=(STACK,),
    parameters=28_672,
    active_parameters=28_672,
    bytes=114_688,
    dtype="float32",
    vocabulary=128,
    tokenizer="0" * 64,
    context=64,
)


def blueprint(**changes: Any) -> Blueprint:
    """The small text decoder, with other values for some fields.

    >>> blueprint(gives=("label",), labels=("hot", "cold")).labels
    ('hot', 'cold')
    """
    return dataclasses.replace(SMALL, **changes)
