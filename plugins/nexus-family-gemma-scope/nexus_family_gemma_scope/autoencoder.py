"""A JumpReLU sparse autoencoder (Rajamanoharan et al. 2024, arXiv 2407.14435), with the names of its file.

Shapes: B samples, T tokens, D width of what is read, F features, E width of what is rebuilt (D unless a transcoder).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class JumpReLU(nn.Module):
    """Activations [B, T, D] -> (features [B, T, F], what they rebuild [B, T, E])."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.empty(shape, device="meta"), requires_grad=False))
        self.skips = "affine_skip_connection" in shapes

    def forward(self, activations: Tensor) -> tuple[Tensor, Tensor]:
        """A feature fires where its pre-activation passes its threshold, and keeps its value."""
        before = activations @ self.w_enc + self.b_enc
        features = torch.relu(before) * (before > self.threshold)
        rebuilt = features @ self.w_dec + self.b_dec
        if self.skips:
            rebuilt = rebuilt + activations @ self.affine_skip_connection
        return features, rebuilt


@dataclass
class ScopeOutput:
    """What an autoencoder gives."""

    features: Tensor
    """[B, T, F]"""
    reconstruction: Tensor
    """[B, T, E]"""
    activations: Tensor
    """What it read: [B, T, D]"""

    def __getitem__(self, index: int) -> Any:
        return (self.features, self.reconstruction)[index]


class SparseAutoencoder(nn.Module):
    """The autoencoder as a stack of one layer: `autoencoders.0` has the tensors of the file under their own names."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.autoencoders = nn.ModuleList([JumpReLU(shapes)])

    def forward(self, activations: Tensor, attention_mask: Tensor | None = None) -> ScopeOutput:
        """Activations [B, T, D]; the mask [B, T] is only what says where there are any."""
        features, rebuilt = self.autoencoders[0](activations)
        return ScopeOutput(features, rebuilt, activations)


def pooled(features: Tensor, mask: Tensor | None) -> Tensor:
    """The strongest value of each feature over the tokens that are there: [B, T, F], [B, T] -> [B, F]."""
    if mask is not None and mask.shape == features.shape[:2]:
        features = features * mask[..., None].to(features)  # features are never negative
    return features.amax(1)
