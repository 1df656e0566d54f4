"""What a metric says of one sample: a row of plain numbers."""

from __future__ import annotations

from typing import Any

from nexus_specs import Metric, NexusError

Row = tuple[float, ...]


def numbers(metric: Metric, found: Any) -> Row:
    """The one row that a metric gives of one sample. NexusError for what is none."""
    try:
        (only,) = found
        return tuple(float(number) for number in only)
    except (TypeError, ValueError) as error:
        raise NexusError(
            f"`measure` of the metric {type(metric).__name__} gave {found!r:.80} for one sample. It has to give a list "
            "with one row of numbers for each sample, () for one that it cannot judge."
        ) from error
