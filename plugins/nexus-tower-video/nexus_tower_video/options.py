"""Options of the video tower."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import option
from nexus_torch.perceiving import PerceptionOptions


@dataclass(frozen=True)
class VideoOptions(PerceptionOptions):
    """How a video becomes tubelets."""

    size: int = option(0, help="Side of the square frames in pixels; 0: as the teacher's", low=0)
    patch: int = option(0, help="Side of a tubelet in pixels; 0: as the teacher's", low=0)
    frames: int = option(0, help="Frames, taken evenly; 0: as the teacher's", low=0)
    tubelet: int = option(0, help="Frames in a tubelet; 0: as the teacher's", low=0)
