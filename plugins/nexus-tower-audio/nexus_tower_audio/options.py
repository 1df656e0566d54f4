"""Options of the audio tower."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import option
from nexus_torch.perceiving import PerceptionOptions


@dataclass(frozen=True)
class AudioOptions(PerceptionOptions):
    """How a sound becomes patches of a log-mel spectrogram."""

    rate: int = option(0, help="Samples a second; 0: as the teacher's", low=0)
    frames: int = option(0, help="Frames of 25 ms, 10 ms apart; longer sounds are cut; 0: as the teacher's", low=0)
    mels: int = option(0, help="Mel bands; 0: as the teacher's", low=0)
    patch: int = option(8, help="Frames and bands in a patch", low=1)
