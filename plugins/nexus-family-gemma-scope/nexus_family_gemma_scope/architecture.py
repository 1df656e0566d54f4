"""The loader: an autoencoder alone, or on its model."""

from __future__ import annotations

from nexus_specs import Checkpoint, Lookup, NexusError
from nexus_torch.hugging_face.family import Family
from nexus_torch.hugging_face.folder import folder

from .layout import WEIGHTS, Place, choices, is_scope, place, split


class GemmaScope(Family):
    """Kind "architecture": FOLDER, FOLDER#MODEL, or FOLDER#base for the model that the folder names."""

    called = f"a folder of Gemma Scope 2 with {WEIGHTS}"

    def place(self, source: str) -> str:
        """What stands before "#"."""
        return split(source)[0]

    def reads(self, place: str) -> bool:
        """One autoencoder, or a folder that holds several of them."""
        home = folder(place)
        return home.is_dir() and (is_scope(home) or bool(choices(home)))

    def made(self, source: str, lookup: Lookup) -> Checkpoint:
        """The autoencoder, with its model where the source names one."""
        from .alone import AloneCheckpoint
        from .observed import ObservedCheckpoint

        where, (_, model) = place(source), split(source)
        if not model:
            return AloneCheckpoint(where)
        return ObservedCheckpoint(where, lookup.open(_named(where, model)))


def _named(where: Place, model: str) -> str:
    if model != "base":
        return model
    if not where.model:
        raise NexusError(f"'{where.home}' does not say which model it explains. Name it: {where.home}#MODEL.")
    return where.model
