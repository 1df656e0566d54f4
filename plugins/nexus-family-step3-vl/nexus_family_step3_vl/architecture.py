"""The loader."""

from __future__ import annotations

from nexus_specs import Checkpoint, Lookup
from nexus_torch.hugging_face.family import Family
from nexus_torch.hugging_face.folder import configuration, folder

from .catalogue import MODEL_TYPE


class Step3VL(Family):
    """Kind "architecture": folders of the model type step_robotics; no code from the folder is run."""

    called = f"a folder with a config.json of the model type {MODEL_TYPE}"

    def reads(self, place: str) -> bool:
        """Its model type."""
        return configuration(place).get("model_type") == MODEL_TYPE

    def made(self, source: str, lookup: Lookup) -> Checkpoint:
        """The composition."""
        from .checkpoint import Step3VLCheckpoint
        from .model import read_config

        home = folder(source)
        return Step3VLCheckpoint(home, read_config(home))
