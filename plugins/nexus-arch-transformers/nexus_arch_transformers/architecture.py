"""The loader: any folder with a config.json whose model type transformers knows, and weights in safetensors."""

from __future__ import annotations

from nexus_specs import Blueprint, Checkpoint, Lookup, NexusError
from nexus_torch.hugging_face.catalogue import model_types
from nexus_torch.hugging_face.folder import configuration, folder


class Transformers:
    """Kind "architecture": Hugging Face folders. Never runs code from a checkpoint, never unpickles."""

    def match(self, source: str) -> int:
        """1 for a folder of a model type that transformers itself knows."""
        return int(configuration(source).get("model_type") in model_types())

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads configuration and headers."""
        return self._checkpoint(source).blueprint

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint. NexusError for weights that are pickled, packed by a quantiser, or not there."""
        checkpoint = self._checkpoint(source)
        if checkpoint.blueprint.quantisation:
            raise NexusError(
                f"'{source}' is quantised ({checkpoint.blueprint.quantisation}); this loader opens float32, float16 "
                "and bfloat16 weights. Fetch the checkpoint in one of these."
            )
        return checkpoint

    def _checkpoint(self, source: str) -> Checkpoint:
        from nexus_torch.hugging_face.checkpoint import HuggingFaceCheckpoint  # torch and transformers: not for `match`
        from nexus_torch.hugging_face.classes import read_config

        home = folder(source)
        if not self.match(source):
            raise NexusError(f"'{source}' is not a folder with a config.json of a model type that transformers knows.")
        return HuggingFaceCheckpoint(home, read_config(home))
