"""Options of the text tower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nexus_specs import option


@dataclass(frozen=True)
class TextOptions:
    """How much of the core a text tower changes."""

    rank: int = option(8, help="Rank of the adapters", low=1)
    layers: tuple[int, ...] = option((), help="Core layers that it changes; empty: all")
    vocabulary: Literal["auto", "own", "core"] = option(
        "auto", help="Its own words, the core's, or its own where the teacher's tokenizer is another one"
    )
    embeddings: int = option(8, help="Rank of the change of the core's words, where it uses them; 0: none", low=0)
