"""What scans over states make of each position."""

from __future__ import annotations

from torch import nn

TURNED, SPREAD, TENSORS = 5, 4, 3
"""Of Mamba 2 for each head: tensors of all positions of a chunk (decay, its mask, scores, both, what is summed), and of
all states (input and output matrix, both turned); in as many as there are of Mamba (decay, input, both)."""


def scanned(module: nn.Module) -> int:
    """Values of one of three tensors that a state-space layer makes for each position where it is computed in torch: of
    each channel all its states (Mamba: `A_log` is a matrix of these), or for each head all positions of its chunk and
    its states (Mamba 2: `A_log` has one number a head). 0 where there is no such layer."""
    return max((_values(each) for each in module.modules()), default=0)


def chunk(module: nn.Module) -> int:
    """Positions that such a layer takes together: what is shorter is filled up. 0 where it takes them one by one."""
    return max((_chunk(each) for each in module.modules()), default=0)


def _values(layer: nn.Module) -> int:
    decay = getattr(layer, "A_log", None)
    if not isinstance(decay, nn.Parameter):
        return 0
    if together := _chunk(layer):
        states = getattr(layer, "ssm_state_size", 0)
        return int(decay.numel()) * (TURNED * together + SPREAD * states) // TENSORS
    return int(decay.numel()) if decay.ndim > 1 else 0


def _chunk(layer: nn.Module) -> int:
    decay, size = getattr(layer, "A_log", None), getattr(layer, "chunk_size", 0)
    return size if isinstance(decay, nn.Parameter) and decay.ndim == 1 and isinstance(size, int) else 0
