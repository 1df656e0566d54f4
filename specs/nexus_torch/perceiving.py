"""Options that towers of every perceived modality share. Imports nothing heavy: options modules stand on it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import option


@dataclass(frozen=True)
class PerceptionOptions:
    """A small encoder, a resampler and cross-attention. 0: found from the teacher."""

    share: float = option(0.33, help="Parameters of the tower, as a share of its teacher's", low=0.01, high=0.5)
    width: int = option(0, help="Width of the encoder; 0: the largest that the share allows", low=0)
    depth: int = option(3, help="Layers of the encoder", low=1)
    heads: int = option(4, help="Attention heads of the encoder", low=1)
    ratio: int = option(2, help="Width of its feed-forward layers, as a multiple of its own", low=1)
    latents: int = option(4, help="Vectors that the resampler hands to the core", low=1)
    rank: int = option(8, help="Rank of the cross-attention into the core", low=1)
    classes: int = option(0, help="Size of the output; 0: as the teacher's", low=0)
