"""Published checkpoints in their real shapes, with random weights and cut in layers, for `memory.py --zoo`: a function
for each, by what it takes. `kind.py` says what one is, `writing.py` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from .kind import KINDS, Kind

MODULES = (
    "texts", "translating", "seeing", "reading_pictures", "talking_of_pictures", "talking_of_tiles", "hearing",
    "finding", "talking_of_sounds", "filming", "speaking",
)  # fmt: skip


def kinds() -> Mapping[str, Kind]:
    """All, by name; the commonest first."""
    for name in MODULES:
        import_module(f"{__name__}.{name}")
    return KINDS
