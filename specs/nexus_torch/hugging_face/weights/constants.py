"""Parameters that a class computes and no file holds: the tables of sinusoidal positions of older models."""

from __future__ import annotations

import re
from collections.abc import Collection

import torch
from torch import nn
from transformers import PreTrainedModel

from nexus_torch.skeleton import holders

COMPUTED = re.compile(r"Sinus|PositionalEmbedding|PositionEmbedding")
"""Classes whose weights may follow from their shape alone."""


def compute_constants(module: PreTrainedModel, stored: Collection[str]) -> None:
    """Fills what is not `stored` and comes out the same each time that its class initialises it. Anything else that is
    missing stays missing, and the engine says so: transformers would leave it random."""
    tied = holders(module)
    for path, each in module.named_modules():
        if not COMPUTED.search(type(each).__name__):
            continue
        for leaf, parameter in list(each.named_parameters(recurse=False)):
            known = any(name in stored for name in tied.get(f"{path}.{leaf}", ()))
            if not known and parameter.is_meta and parameter.numel() < 1 << 26:
                _compute(module, each, leaf, parameter)


def _compute(module: PreTrainedModel, owner: nn.Module, leaf: str, parameter: nn.Parameter) -> None:
    made: list[nn.Parameter | None] = []
    for seed in (0, 1):
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            owner._parameters[leaf] = nn.Parameter(torch.full(parameter.shape, float(seed)), requires_grad=False)
            module._init_weights(owner)
            made.append(owner._parameters[leaf])
    same = made[0] is not None and made[1] is not None and bool(torch.equal(made[0], made[1]))
    owner._parameters[leaf] = made[0] if same else parameter
