"""Vocabularies: how ids become what the core reads, and its states become logits. D: the core's width, V: words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .lora import EmbeddingLoRA


class Vocabulary(nn.Module):
    """An embedding of its own, tied to its head."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(words, width) * 0.02)

    def embed(self, ids: Tensor) -> Tensor:
        """[B, T] -> [B, T, D]"""
        return functional.embedding(ids, self.embedding)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., V]"""
        return functional.linear(hidden, self.embedding)


class CoreVocabulary:
    """The core's embedding and head, with a tower's low-rank change of both where it has one."""

    def __init__(self, core: Any, change: EmbeddingLoRA | None = None) -> None:
        self.core, self.change = core, change

    def embed(self, ids: Tensor) -> Tensor:
        """[B, T] -> [B, T, D]"""
        words: Tensor = self.core.get_input_embeddings()(ids)
        return words if self.change is None else words + self.change.embed(ids).to(words.dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., D] -> [..., V]"""
        head = self.core.get_output_embeddings()
        logits: Tensor = head(hidden)
        if self.change is not None and is_tied(self.core):
            logits = logits + self.change.logits(hidden).to(logits.dtype)
        cap = getattr(self.core.config, "final_logit_softcapping", None)
        return logits if cap is None else torch.tanh(logits / cap) * cap


def is_tied(core: Any) -> bool:
    """Whether a core's head is its embedding."""
    head = core.get_output_embeddings()
    return head is not None and head.weight is core.get_input_embeddings().weight
