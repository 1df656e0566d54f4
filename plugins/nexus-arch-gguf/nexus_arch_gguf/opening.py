"""Files as checkpoints: models and towers, or refused in words."""

from __future__ import annotations

from nexus_specs import NexusError
from nexus_torch.hugging_face.telling import once

from .beside import TOWER, towers
from .catalogue import REASONS, names
from .checkpoint import GgufCheckpoint
from .kinds import other
from .layouts import LAYOUTS
from .source import Source, models
from .tower import tower_checkpoint


def open_checkpoint(found: Source) -> GgufCheckpoint:
    """The checkpoint of a file. NexusError for what is no model, or of an architecture without a class."""
    _check(found)
    if found.architecture == TOWER:
        return tower_checkpoint(found)
    if models(found.path.parent) == [found.path] and (apart := towers(found.path)):
        once(
            ("tower", found.path),
            f"'{found.path}' is the text part alone: what sees or hears for it lies in {', '.join(apart)} beside it, a "
            "teacher of its own by that name. Both as one: name the model's folder of safetensors.",
        )
    return GgufCheckpoint(found)


def _check(found: Source) -> None:
    """NexusError for what is no model that can be opened here."""
    if said := other(found):
        raise NexusError(f"'{found.path}' is {said}")
    if found.architecture not in LAYOUTS:
        known = "gguf knows it, but transformers has no class for it" if found.architecture in names() else "unknown"
        known = REASONS.get(found.architecture, known)
        raise NexusError(
            f"'{found.path}' is of the architecture '{found.architecture}' ({known}). "
            "`nexus list architectures --loader gguf` shows those that open."
        )
