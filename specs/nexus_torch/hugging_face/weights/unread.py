"""Weights that published checkpoints lack, since no forward reads them but in training, or none at all."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection

import torch
from torch import nn

from nexus_torch.skeleton import holders

TRAINED_WITH = re.compile(r"(?:^|\.)(?:masked_spec_embed|mask_token|masked_embed|mask_embedding)$")
"""What stands for a hidden frame or patch while a model learns to guess (wav2vec 2.0, ViT, BEiT, DINO v2, Swin):
transformers makes it whether a checkpoint has it or not, and `facebook/wav2vec2-base-960h` for one has not."""
COMPARED_WITH = re.compile(r"^(?:\w+\.)?logit_(?:scale|bias)(?:_[at])?$")
"""What likenesses of two encoders' vectors are multiplied with, and what is added: no part of the vectors, which are
what is observed. transformers opens a checkpoint without it, with a warning. Deeper inside, it is of attention, and
read (Swin v2)."""
LARGEST = 1 << 20
"""Numbers of the largest of these."""
POOLER = "pooler"


def unread(module: nn.Module, stored: Collection[str]) -> list[str]:
    """Names of parameters that no file holds and no forward in evaluation reads. `stored` are names of the module."""
    tied, idle = holders(module), (TRAINED_WITH, COMPARED_WITH)
    return [
        name for name, each in module.named_parameters()
        if any(known.search(name) for known in idle) and each.numel() <= LARGEST
        and not any(other in stored for other in tied[name])
    ]  # fmt: skip


def fill_unread(module: nn.Module, stored: Collection[str]) -> None:
    """Puts what is no number into them: a forward that reads one all the same gives none, which the engine refuses."""
    for name in unread(module, stored):
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        shape = module.get_parameter(name).shape
        owner._parameters[leaf] = nn.Parameter(torch.full(shape, float("nan")), requires_grad=False)


def without_pooler(module: nn.Module, stored: Collection[str]) -> bool:
    """Whether a body can do without its pooler and no file holds one (DINO's ViT): transformers would make a random
    one."""
    inner = getattr(module, POOLER, None)
    optional = "add_pooling_layer" in inspect.signature(type(module).__init__).parameters
    if not isinstance(inner, nn.Module) or not optional:
        return False
    names = [f"{POOLER}.{name}" for name, _ in inner.named_parameters()]
    return bool(names) and not any(name in stored for name in names)
