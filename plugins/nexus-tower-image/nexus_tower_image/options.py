"""Options of the image tower."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import option
from nexus_torch.perceiving import PerceptionOptions


@dataclass(frozen=True)
class ImageOptions(PerceptionOptions):
    """How an image becomes patches."""

    size: int = option(0, help="Side of the square image in pixels; 0: as the teacher's", low=0)
    patch: int = option(0, help="Side of a patch in pixels; 0: as the teacher's", low=0)
