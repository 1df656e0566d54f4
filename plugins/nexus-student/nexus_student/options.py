"""Options of the plugin's components. Imports nothing heavy: listings read it."""

from __future__ import annotations

from dataclasses import dataclass

from nexus_specs import option


@dataclass(frozen=True)
class StudentOptions:
    """A new core (`core: auto`), and how towers change any core."""

    layers: int = option(4, help="Decoder layers of a new core", low=1)
    width: int = option(128, help="Width of a new core", low=8)
    heads: int = option(0, help="Attention heads; 0: one for every 32 of width", low=0)
    kv_heads: int = option(0, help="Key and value heads; 0: as many as heads", low=0)
    intermediate: int = option(0, help="Width of the feed-forward layers; 0: three times the width", low=0)
    context: int = option(1024, help="Longest text in tokens", low=8)
    tokenizer: str = option("", help="Core teacher whose tokenizer is the core's own; empty: the largest vocabulary")
    alpha: float = option(2.0, help="Scale of LoRA: alpha / rank = this", low=0)
    compress: bool = option(False, help="Store what is trained as bfloat16")
