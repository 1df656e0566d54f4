"""Files as checkpoints: models and towers, or refused in words."""

from __future__ import annotations

from pathlib import Path

from nexus_specs import NexusError

from .catalogue import REASONS, names
from .checkpoint import GgufCheckpoint
from .layouts import LAYOUTS
from .source import Source
from .tower import TowerCheckpoint


def open_checkpoint(path: Path) -> GgufCheckpoint:
    """The checkpoint of a file. NexusError for what is no model, or of an architecture without a class."""
    found = source(path)
    return TowerCheckpoint(found) if found.architecture == "clip" else GgufCheckpoint(found)


def source(path: Path) -> Source:
    """The file's source, if it is a model that can be opened here."""
    found = Source(path)
    kind = found.text("general.type", "model")
    if found.architecture == "clip":
        return found                                        # a tower, or refused by its projector
    if kind != "model" or not found.places:
        held = "no tensors" if kind == "model" else f"an {kind}"
        raise NexusError(f"'{path}' holds {held}, not a whole model. Name the file of the model itself.")
    if found.architecture not in LAYOUTS:
        known = "gguf knows it, but transformers has no class for it" if found.architecture in names() else "unknown"
        known = REASONS.get(found.architecture, known)
        raise NexusError(
            f"'{path}' is of the architecture '{found.architecture}' ({known}). "
            "`nexus list architectures --loader gguf` shows those that open."
        )
    return found
