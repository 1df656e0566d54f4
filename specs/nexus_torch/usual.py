"""A sample as it usually comes, for those who ask what a model takes before they have any."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from nexus_specs import Sample, content_key

HEIGHT, WIDTH, FRAMES, SECONDS = 480, 640, 16, 10
"""Of a picture, as cameras of old took it; of a film in pictures half as high and half as wide; of a sound."""
TEXT = "The quick brown fox jumps over the lazy dog. " * 4
"""Some 40 tokens: as long as an engine takes a text to be of which nobody says it."""
GREY = 127

WRITTEN = frozenset({"text", "label", "embedding", "scores"})
"""What is given of a text alone, and takes no more than it."""


def usual(takes: Collection[str], gives: Collection[str], rate: int = 0) -> tuple[Sample | None, str]:
    """One sample of all that is taken (where both are, a picture and no film), and what it is in words; (None, "")
    where a text is all that there is, and for what is taken besides. `rate`: samples a second of a sound."""
    fields: dict[str, Any] = {}
    words: list[str] = []
    if "image" in takes:
        fields["image"] = np.full((HEIGHT, WIDTH, 3), GREY, dtype="uint8")
        words.append(f"a picture of {WIDTH} x {HEIGHT}")
    elif "video" in takes:
        fields["video"] = np.full((FRAMES, HEIGHT // 2, WIDTH // 2, 3), GREY, dtype="uint8")
        words.append(f"a film of {FRAMES} frames of {WIDTH // 2} x {HEIGHT // 2}")
    if "audio" in takes and not ("audio" in gives and "text" in takes):     # what is spoken about, at most
        fields["audio"] = np.sin(np.arange(SECONDS * rate, dtype="float32"))
        words.append(f"a sound of {SECONDS} s")
    if "text" in takes and (fields or not WRITTEN.issuperset(gives)):
        fields["text"] = TEXT
        words.append("a short text")
    return (Sample(key=content_key(fields), fields=fields), " and ".join(words)) if fields else (None, "")
