"""The loader: any folder with a config.json whose model type transformers knows, and weights in safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nexus_specs import Blueprint, Checkpoint, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.catalogue import model_types
from nexus_torch.hugging_face.folder import CONFIG, configuration, folder, has_weights
from nexus_torch.hugging_face.trusting import is_remote, trusted

if TYPE_CHECKING:
    from nexus_torch.hugging_face.checkpoint import HuggingFaceCheckpoint


class Transformers:
    """Kind "architecture": Hugging Face folders. Never unpickles; runs a checkpoint's own code only of a commit on the
    hub that the registry trusts."""

    def match(self, source: str) -> int:
        """1 for a folder of a model type that transformers itself knows, and for one whose config.json cannot be read:
        `inspect` says why."""
        config = configuration(source)
        known = str(config.get("model_type")) in model_types() or (is_remote(config) and trusted(folder(source)))
        return int(known or (not config and (folder(source) / CONFIG).is_file()))

    def origin(self, source: str) -> Origin | None:
        """The commit and the sizes of what lies on a hub; None for what is here."""
        return hub.origin(source)

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads configuration and headers. A config.json alone is described too: its weights
        are `missing`."""
        return self._checkpoint(source, weightless=True).blueprint

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint. NexusError for weights that are pickled, packed in an unknown way, or not there."""
        checkpoint = self._checkpoint(source)
        from nexus_torch.hugging_face.packed import refuse_unknown

        refuse_unknown(checkpoint.blueprint.quantisation, source)
        return checkpoint

    def _checkpoint(self, source: str, *, weightless: bool = False) -> HuggingFaceCheckpoint:
        from nexus_torch.hugging_face.checkpoint import HuggingFaceCheckpoint  # torch and transformers: not for `match`
        from nexus_torch.hugging_face.configuration import read_config

        home = folder(source)
        if not (home / CONFIG).is_file():
            raise NexusError(_no_folder(source, home))
        values = configuration(source)
        if str(values.get("model_type")) not in model_types() and is_remote(values):
            from nexus_torch.hugging_face.remote import open_remote

            return open_remote(source, home, weightless=weightless and not has_weights(home))
        config = read_config(home)
        return HuggingFaceCheckpoint(home, config, weightless=weightless and not has_weights(home))


def _no_folder(source: str, home: Path) -> str:
    """What is the matter with a place that holds no config.json."""
    if home.is_file():
        return f"'{source}' is a file. Name the folder that holds {CONFIG} and the weights (*.safetensors)."
    if home.is_dir():
        return f"'{source}' has no {CONFIG}. Name the folder of one checkpoint, with {CONFIG} and *.safetensors."
    return f"There is nothing at '{source}'. Name a folder, a package: resource, or OWNER/NAME of the hub."
