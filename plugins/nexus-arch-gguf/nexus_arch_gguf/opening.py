"""Files as checkpoints: models and towers, or refused in words."""

from __future__ import annotations

from pathlib import Path

from nexus_specs import NexusError
from nexus_torch.hugging_face.telling import once

from .beside import TOWER, towers
from .catalogue import REASONS, names
from .checkpoint import GgufCheckpoint
from .kinds import other
from .layouts import LAYOUTS
from .source import Source, models
from .tower import tower_checkpoint


def open_checkpoint(path: Path) -> GgufCheckpoint:
    """The checkpoint of a file. NexusError for what is no model, or of an architecture without a class."""
    found = source(path)
    if found.architecture == TOWER:
        return tower_checkpoint(found)
    if models(path.parent) == [path] and (apart := towers(path)):
        once(
            ("tower", path),
            f"'{path}' is the text part alone: what sees or hears for it lies in {', '.join(apart)} beside it, a "
            "teacher of its own by that name. Both as one: name the model's folder of safetensors.",
        )
    return GgufCheckpoint(found)


def source(path: Path) -> Source:
    """The file's source, if it is a model that can be opened here."""
    found = Source(path)
    if said := other(found):
        raise NexusError(f"'{path}' is {said}")
    if found.architecture not in LAYOUTS:
        known = "gguf knows it, but transformers has no class for it" if found.architecture in names() else "unknown"
        known = REASONS.get(found.architecture, known)
        raise NexusError(
            f"'{path}' is of the architecture '{found.architecture}' ({known}). "
            "`nexus list architectures --loader gguf` shows those that open."
        )
    return found
