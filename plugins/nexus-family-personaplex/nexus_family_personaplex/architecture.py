"""The loader."""

from __future__ import annotations

from nexus_specs import Blueprint, Checkpoint, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.folder import folder

from .layout import MIMI, MODEL, is_kyutai


class PersonaPlex:
    """Kind "architecture": folders in Kyutai's format."""

    def match(self, source: str) -> int:
        """2 for Moshi or PersonaPlex in Kyutai's format."""
        return 2 if is_kyutai(source) else 0

    def origin(self, source: str) -> Origin | None:
        """Where the source is pinned on the hub; None for what is on this machine."""
        return hub.origin(source)

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads configuration and headers."""
        return self._checkpoint(source).blueprint

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint."""
        return self._checkpoint(source)

    def _checkpoint(self, source: str) -> Checkpoint:
        from .checkpoint import PersonaPlexCheckpoint  # torch and transformers: not for `match`

        if not is_kyutai(source):
            raise NexusError(f"'{source}' is no Moshi in Kyutai's format: a folder with {MODEL} and {MIMI}.")
        return PersonaPlexCheckpoint.of(folder(source))
