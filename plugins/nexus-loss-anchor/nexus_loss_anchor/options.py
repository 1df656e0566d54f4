"""Options of the loss."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import option


@dataclass(frozen=True, kw_only=True)
class AnchorOptions:
    """How the student's layers are held to the teacher's."""

    count: int = option(2, help="Anchors: the most important layers that have a counterpart", low=1)
    until: float = option(0.75, help="Share of training after which the anchors let go", low=0.01, high=1.0)
