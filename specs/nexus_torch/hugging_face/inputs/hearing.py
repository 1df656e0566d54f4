"""How much of a sound a model hears at once: extractors cut what is longer, without a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample

from ..telling import once

SAMPLES = ("n_samples", "nb_max_samples")
"""Fields of extractors that say it in samples (Whisper, CLAP)."""
HOP = 0.01
"""Seconds from one frame to the next of a Kaldi filter bank, whose extractor says it in frames (AST)."""


def window(extractor: Any) -> float:
    """Seconds that an extractor keeps of a sound; infinite where it keeps all."""
    rate = float(extractor.sampling_rate)
    said = next((found for name in SAMPLES if isinstance(found := getattr(extractor, name, None), int)), 0)
    if said > 0:
        return said / rate
    frames = getattr(extractor, "max_length", None)
    return frames * HOP if isinstance(frames, int) and frames > 0 and hasattr(extractor, "num_mel_bins") else np.inf


def tell_cut(waves: Sequence[Any], extractor: Any, name: str) -> None:
    """Says once for each checkpoint and process that a sound [N] is longer than what is kept of it."""
    longest, kept = max(len(wave) for wave in waves) / float(extractor.sampling_rate), window(extractor)
    if longest <= kept * 1.001:
        return
    once(
        ("sound", name),
        f"'{name}' hears {kept:g} s at once, and a sound has {longest:.3g} s: what is behind is left out of its states "
        "and of its answer. Cut long recordings into pieces that are no longer.",
    )


def check_rate(sample: Sample, expected: int, name: str) -> None:
    """NexusError for a sound of another rate than a model hears at."""
    said = sample.fields.get("rate")
    rate = expected if said is None else int(said)          # None: an empty cell of a table
    if rate != expected:
        raise NexusError(
            f"The audio of sample '{sample.key}' has {rate} Hz, '{name}' hears at {expected} Hz. "
            f"Let the reader resample: data.NAME.options.rate: {expected}."
        )
