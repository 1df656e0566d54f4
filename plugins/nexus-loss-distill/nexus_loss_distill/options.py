"""Options of the losses."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import neutral, option

LOGITS_AT_ONCE = 8_000_000


@dataclass(frozen=True, kw_only=True)
class ForwardKlOptions:
    """How the student follows the teacher's distribution."""

    temperature: float = option(2.0, help="Softens both sides of a class head; text is always at 1", low=0.01)
    logits_at_once: int = neutral(LOGITS_AT_ONCE, help="Logits held at once; more are made in chunks and made again")


@dataclass(frozen=True, kw_only=True)
class CrossEntropyOptions:
    """How the student follows the data."""

    label_smoothing: float = option(0.0, help="Share of the target spread over all classes", low=0.0, high=0.99)
    logits_at_once: int = neutral(LOGITS_AT_ONCE, help="Logits held at once; more are made in chunks and made again")
