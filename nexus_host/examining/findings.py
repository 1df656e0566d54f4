"""The record of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What one check found. "fail" stands in the way of a run, "warn" does not."""

    check: str
    mark: Literal["ok", "warn", "fail"]
    found: str
    hint: str = ""
    """What to type, where something is to be done."""
