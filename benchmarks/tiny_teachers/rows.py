"""Every tiny teacher."""

from __future__ import annotations

from . import composed, duplex, generation, language, seeing, speech, synthesis, vision
from .tiny import Tiny

TINY: tuple[Tiny, ...] = (
    *language.ROWS, *vision.ROWS, *seeing.ROWS, *speech.ROWS, *synthesis.ROWS, *duplex.ROWS,
    *composed.ROWS, *generation.ROWS,
)  # fmt: skip
"""In the order of the table."""


def by_name() -> dict[str, Tiny]:
    """The rows by name."""
    return {row.name: row for row in TINY}
