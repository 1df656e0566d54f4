"""The contract of a release: how much of its teacher each capability kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .components import Choice


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The contract for one capability, and all that `verify` needs to judge it again. `evaluate` writes it;
    `release`, `verify`, the manifest and the table read it."""

    capability: str
    teacher: str
    tower: str
    metric: Choice
    data: Choice
    teacher_score: float
    student_score: float
    """With the router choosing."""
    forced_score: float
    """With the tower forced."""
    control_score: float
    """The same student without a teacher."""
    floor: float
    retention_low: float
    retention_high: float
    """95 % interval of retention, from a paired bootstrap over held-out items."""
    gap_judged: bool
    """False where the interval of teacher - control includes zero, or the control is the better one."""
    teacher_knows: bool = True
    """False where the teacher scores no better than the floor: then there is nothing to keep."""
    items: int = 0
    data_hash: str = ""
    """The reader's fingerprint of the held-out part, so that `verify` knows whether it found the same data."""

    @property
    def retention(self) -> float:
        """(student - floor) / (teacher - floor); NaN where the teacher knows nothing."""
        return fraction(self.student_score, self.teacher_score, self.floor) if self.teacher_knows else math.nan

    @property
    def gap_closed(self) -> float | None:
        """(student - control) / (teacher - control); None where it is not judged."""
        return fraction(self.student_score, self.teacher_score, self.control_score) if self.gap_judged else None

    def passed(self, share: float) -> bool:
        """Whether the lower end of the interval reaches the share of a teacher that knows something."""
        return self.teacher_knows and self.retention_low >= share


def fraction(value: float, full: float, zero: float) -> float:
    """How much of the way from `zero` to `full` was gone; higher- and lower-is-better need no distinction.

    >>> fraction(1.5, 1.0, 3.0)
    0.75
    """
    return (value - zero) / (full - zero) if full != zero else math.nan
