"""What lies beside a model in files of its own: towers, adapters, matrices of statistics."""

from __future__ import annotations

from pathlib import Path

from nexus_specs import NexusError

from .scanner import heading

APART = ("adapter", "imatrix", "mmproj", "control_vector")
"""Values of `general.type`."""
NO_MODELS = ("clip", "controlvector")
"""Values of `general.architecture`."""


def beside(path: Path) -> bool:
    """Whether a file is such a thing, by the first of its metadata; False for one that cannot be read, which is told
    when it is opened."""
    try:
        found = heading(path, ("general.architecture", "general.type"))
    except NexusError:
        return False
    return found.get("general.type") in APART or found.get("general.architecture") in NO_MODELS
