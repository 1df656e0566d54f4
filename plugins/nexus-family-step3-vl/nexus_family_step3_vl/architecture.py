"""The loader."""

from __future__ import annotations

from nexus_specs import Blueprint, Checkpoint, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.folder import configuration, folder

from .catalogue import MODEL_TYPE


class Step3VL:
    """Kind "architecture": folders of the model type step_robotics; no code from the folder is run."""

    def match(self, source: str) -> int:
        """2 for its model type."""
        return 2 if configuration(source).get("model_type") == MODEL_TYPE else 0

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
        from .checkpoint import Step3VLCheckpoint  # torch and transformers: not for `match`
        from .model import read_config

        if not self.match(source):
            raise NexusError(f"'{source}' is not a folder with a config.json of the model type {MODEL_TYPE}.")
        home = folder(source)
        return Step3VLCheckpoint(home, read_config(home))
