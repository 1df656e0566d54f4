"""Options of the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import option


@dataclass(frozen=True, kw_only=True)
class AccuracyOptions:
    """What the classes are."""

    labels: tuple[str, ...] = option((), help="Names of the classes in the order of the output, for labels in words")
    classes: int = option(0, help="How many classes there are, for chance; 0: as many as the labels show", low=0)


@dataclass(frozen=True, kw_only=True)
class ExactMatchOptions:
    """When two answers are the same."""

    case: bool = option(False, help="Whether capital letters count")
    field: str = option("", help="Field of the sample with the expected answer; empty: answer, else label")
