"""The loader: an autoencoder alone, or on its model."""

from __future__ import annotations

from nexus_specs import Blueprint, Checkpoint, Installed, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.folder import folder

from .layout import Place, choices, is_scope, place, split


class GemmaScope:
    """Kind "architecture": FOLDER, FOLDER#MODEL, or FOLDER#base for the model that the folder names."""

    def match(self, source: str) -> int:
        """2 for a folder of Gemma Scope 2, or one that holds such folders."""
        if not source:
            return 0
        home = folder(split(source)[0])
        return 2 if home.is_dir() and (is_scope(home) or choices(home)) else 0

    def origin(self, source: str) -> Origin | None:
        """Where the source is pinned on the hub; None for what is on this machine."""
        return hub.origin(split(source)[0])

    def inspect(self, source: str) -> Blueprint:
        """What it is; reads headers alone."""
        return self.open(source, Installed()).blueprint

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The autoencoder, with its model where the source names one."""
        from .alone import AloneCheckpoint  # torch: not for `match`
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
