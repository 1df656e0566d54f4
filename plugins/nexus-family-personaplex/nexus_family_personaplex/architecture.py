"""The loader."""

from __future__ import annotations

from nexus_specs import Checkpoint, Lookup
from nexus_torch.hugging_face.family import Family
from nexus_torch.hugging_face.folder import folder

from .layout import MIMI, MODEL, is_kyutai


class PersonaPlex(Family):
    """Kind "architecture": folders in Kyutai's format."""

    called = f"a Moshi in Kyutai's format: a folder with {MODEL} and {MIMI}"

    def reads(self, place: str) -> bool:
        """Moshi or PersonaPlex in Kyutai's format."""
        return is_kyutai(place)

    def made(self, source: str, lookup: Lookup) -> Checkpoint:
        """Both of its files as one module."""
        from .checkpoint import PersonaPlexCheckpoint

        return PersonaPlexCheckpoint.of(folder(source))
