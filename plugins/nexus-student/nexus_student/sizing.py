"""How large a new core may be: under a memory, and small enough that the release stays below half of its teachers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_specs import Blueprint, Budget

TIERS: Mapping[int, tuple[int, int]] = {
    1: (8 << 30, 600_000_000),
    2: (12 << 30, 1_500_000_000),
    3: (16 << 30, 3_000_000_000),
}
"""Tier -> memory in bytes that the student may use, and the most parameters of its core."""

TRAINING_BYTES = 16
"""Bytes a trained parameter takes: itself, its gradient and two moments, float32."""

SHARE = 0.45
"""Of the teachers' parameters, for core and towers together; a release may have half."""

UNTAUGHT = 0.12
"""Of the teachers' parameters, for a core that none of them teaches: a tower that sees or hears takes a third, and the
core stays as it was made."""

RANK = 8


def proposal(teachers: Sequence[Blueprint], budget: Budget, tier: int) -> dict[str, Any]:
    """Layers, width and heads of the largest core that fits; of the teachers, those that take text alone teach it."""
    memory, most = TIERS.get(tier, TIERS[1])
    memory = min(memory, budget.memory or memory)
    taught = [each for each in teachers if set(each.takes) <= {"text"}]
    share = SHARE if taught else UNTAUGHT
    allowed = min(most, memory // TRAINING_BYTES, int(share * sum(each.parameters for each in teachers)) or most)
    fitting = [(layers, width) for layers, width in _shapes() if whole(layers, width, taught) <= allowed]
    layers, width = max(fitting, key=lambda shape: whole(*shape, taught), default=(2, 32))
    context = max((each.context for each in taught), default=0) or 1024
    return {"layers": layers, "width": width, "heads": 0, "intermediate": 0, "context": min(context, 4096)}


def _shapes() -> list[tuple[int, int]]:
    widths = [*range(32, 256, 16), *range(256, 1024, 64), *range(1024, 3073, 256)]
    return [(max(2, min(32, width // 32)), width) for width in widths]


def body(layers: int, width: int, intermediate: int = 0) -> int:
    """Parameters of the layers of a core: attention, and a gated feed-forward of three times the width unless told.

    >>> body(4, 128)
    851968
    """
    return layers * width * (4 * width + 3 * (intermediate or 3 * width))


def whole(layers: int, width: int, teachers: Sequence[Blueprint]) -> int:
    """Parameters of a core and of its text towers: a body, the core's words, and for each teacher LoRA and words.

    >>> whole(4, 128, [])
    851968
    """
    readers = [each for each in teachers if each.vocabulary and "text" in each.takes]
    words = [each.vocabulary * width for each in readers]
    tokenizers = {each.tokenizer for each in readers}
    adapters = len(words) * layers * RANK * 20 * width
    return body(layers, width) + max(words, default=0) + adapters + (sum(words) if len(tokenizers) > 1 else 0)
