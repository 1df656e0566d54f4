"""The loader: an autoencoder alone, or on its model."""

from __future__ import annotations

from nexus_specs import Checkpoint, Lookup, NexusError
from nexus_torch import hub
from nexus_torch.hugging_face.family import Family
from nexus_torch.hugging_face.folder import folder

from .layout import WEIGHTS, Place, called, choices, is_scope, place, split


class GemmaScope(Family):
    """Kind "architecture": FOLDER, FOLDER#MODEL, or FOLDER#base for the model that the folder names."""

    called = f"a folder of Gemma Scope 2 with {WEIGHTS}"

    def place(self, source: str) -> str:
        """What stands before "#"."""
        return split(source)[0]

    def reads(self, place: str) -> bool:
        """One autoencoder, or a folder that holds several of them. On the hub it is none here: it may hold weights
        alone."""
        home = folder(place)
        return (home.is_dir() or hub.behind(home) is not None) and (is_scope(home) or bool(choices(home)))

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
        scope = called(where.home)
        raise NexusError(f"'{scope}' does not say which model it explains. Name it: {scope}#MODEL.")
    return where.model
