"""Samples to tensors by a file's own metadata, and an encoder's states to one vector as it says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from nexus_torch.hugging_face.inputs.collate import Preprocessor
from torch import Tensor

from .endings import endings
from .source import Source
from .tokenizer import tokenizer

MEAN, FIRST, LAST = 1, 2, 3
"""How an encoder's states become one vector, `enum llama_pooling_type`."""


class GgufPreprocessor(Preprocessor):
    """A preprocessor whose tokenizer is made of the file's metadata, in memory."""

    source: Source

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer. NexusError where the file describes none that can be built."""
        return tokenizer(self.source)

    @cached_property
    def generation(self) -> Mapping[str, Any]:  # type: ignore[override]
        """Where an answer ends, as the metadata says."""
        return endings(self.source, self.tokenizer.get_vocab())


def pooled(states: Tensor, mask: Tensor | None, *, last: bool) -> Tensor:
    """States [B, T, D] -> [B, D]: of the first token, or of the last that is no padding."""
    if not last:
        return states[:, 0]
    ends = torch.full(states.shape[:1], states.shape[1]) if mask is None else mask.sum(1)
    return states[torch.arange(len(states)), ends.long() - 1]
