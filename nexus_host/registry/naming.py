"""What a bare word may mean where a checkpoint is asked for: people type `coder`, or the name of a card."""

from __future__ import annotations

import re

from nexus_specs import NexusError

from ..discovery import Plugins
from .cards import TeacherCard
from .registry import Registry
from .selection import known_as

WORD = re.compile(r"[\w.-]+")


def meant(source: str, plugins: Plugins) -> str:
    """A sentence that says which teacher of the registry is called so, and where it lies; "" for none."""
    key, card = teacher(source, plugins)
    return f"The registry has a teacher '{key}': name its source, {card.source}." if card else ""


def teacher(word: str, plugins: Plugins) -> tuple[str, TeacherCard | None]:
    """The teacher that the registry (./registry.yaml, or the one that a plugin brings) calls so, with its source as it
    counts: a path made absolute, on a hub the revision of the card."""
    if not WORD.fullmatch(word):
        return "", None
    try:
        model = Registry.load(None, plugins, strict=False).model
    except NexusError:
        return "", None
    key = known_as(model, word)
    card = model.teachers.get(key)
    return (key, card) if card and card.source else ("", None)
