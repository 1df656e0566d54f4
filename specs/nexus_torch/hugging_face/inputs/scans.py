"""What scans over states make of each position."""

from __future__ import annotations

from torch import nn


def scanned(module: nn.Module) -> int:
    """Values of the largest tensor that a state-space layer makes for each position where it is computed in torch: of
    each channel all its states (Mamba: `A_log` is a matrix of these), or for each head all positions of its chunk
    (Mamba 2: `A_log` has one number a head). 0 where there is no such layer."""
    return max((_values(each) for each in module.modules()), default=0)


def _values(layer: nn.Module) -> int:
    decay, chunk = getattr(layer, "A_log", None), getattr(layer, "chunk_size", 0)
    if not isinstance(decay, nn.Parameter):
        return 0
    together = chunk if decay.ndim == 1 and isinstance(chunk, int) else int(decay.ndim > 1)
    return int(decay.numel()) * together
