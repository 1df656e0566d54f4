"""What the data say, as the index of a class of the teacher's head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import SupportsIndex, SupportsInt

from nexus_specs import NexusError, Sample

UNKNOWN, NONE = -100, -1


def class_index(sample: Sample, names: Sequence[str]) -> int:
    """The class of a sample; -100 where it is unknown: none, or -1, as data sets write it and metrics take it. A number
    is an index, a word a name of `names`."""
    label, where = sample.fields.get("label"), sample.fields.get("source", sample.key)
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return UNKNOWN
    if isinstance(label, str):
        if label not in names:
            raise NexusError(
                f"The label '{label}' of {where} is no class of the teacher. "
                f"Its classes: {', '.join(names) or 'unnamed; use their numbers'}."
            )
        return list(names).index(label)
    if not isinstance(label, (SupportsInt, SupportsIndex)) or int(label) != label:
        raise NexusError(f"The label {label!r:.60} of {where} is no class: write a whole number or a class's name.")
    if label == NONE:
        return UNKNOWN
    if label < 0 or (names and label >= len(names)):
        last = len(names) - 1 if names else "the last class"
        raise NexusError(f"The label {label} of {where} is outside 0 to {last}.")
    return int(label)
