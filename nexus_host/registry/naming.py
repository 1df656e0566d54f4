"""What a bare word may mean where a checkpoint is asked for: people type `coder`, or the name of a card."""

from __future__ import annotations

import re

from nexus_specs import NexusError

from ..discovery import Plugins
from .registry import Registry
from .selection import known_as

WORD = re.compile(r"[\w.-]+")


def meant(source: str, plugins: Plugins) -> str:
    """A sentence that says which teacher of the registry is called so, and where it lies; "" for none."""
    if not WORD.fullmatch(source):
        return ""
    try:
        model = Registry.load(None, plugins, strict=False).model
    except NexusError:
        return ""
    key = known_as(model, source)
    card = model.teachers.get(key)
    return f"The registry has a teacher '{key}': name its source, {card.source}." if card and card.source else ""
