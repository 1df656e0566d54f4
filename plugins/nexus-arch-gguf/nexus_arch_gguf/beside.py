"""What lies beside a model in files of its own: towers, adapters, matrices of statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nexus_specs import NexusError

from .remote import SUFFIX
from .scanner import heading

APART = ("adapter", "imatrix", "mmproj", "control_vector")
"""Values of `general.type`."""
TOWER = "clip"
NO_MODELS = (TOWER, "controlvector")
"""Values of `general.architecture`."""


def beside(path: Path) -> bool:
    """Whether a file is such a thing, by the first of its metadata; False for one that cannot be read, which is told
    when it is opened."""
    found = _said(path)
    return found.get("general.type") in APART or found.get("general.architecture") in NO_MODELS


def towers(model: Path) -> list[str]:
    """The names of the files beside a model that hold what sees or hears for it."""
    if not model.parent.is_dir():                           # on a hub
        return []
    others = (each for each in model.parent.iterdir() if each.suffix.lower() == SUFFIX and each != model)
    return sorted(each.name for each in others if _said(each).get("general.architecture") == TOWER)


def _said(path: Path) -> dict[str, Any]:
    try:
        return heading(path, ("general.architecture", "general.type"))
    except NexusError:
        return {}
