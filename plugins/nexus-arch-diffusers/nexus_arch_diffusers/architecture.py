"""The loader: folders of diffusers, whole pipelines or one model."""

from __future__ import annotations

from pathlib import Path

from nexus_specs import Blueprint, Checkpoint, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.folder import folder

from .catalogue import models
from .folder import CONFIG, INDEX, described
from .options import split


class Diffusers:
    """Kind "architecture": Diffusers folders. Never runs code from a checkpoint, never unpickles."""

    def match(self, source: str) -> int:
        """2 for a folder with a model_index.json, or with a config.json of one of diffusers' own models."""
        name, _, _ = source.partition("#")
        if not name:
            return 0
        home = folder(name)
        said = described(home)
        if (home / INDEX).is_file():
            return 2
        name = said.get("_class_name")
        return 2 * int(isinstance(name, str) and ("_diffusers_version" in said or name in models()))

    def origin(self, source: str) -> Origin | None:
        """The commit and the sizes of what lies on a hub; None for what is here."""
        return hub.origin(source)

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads configurations and headers."""
        return self._checkpoint(source).blueprint

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint. NexusError for weights that are pickled, packed in a way that is not read, or not there."""
        from nexus_torch.hugging_face.packed import refuse_unknown  # torch: not for `match`

        checkpoint = self._checkpoint(source)
        refuse_unknown(checkpoint.blueprint.quantisation, source)
        return checkpoint

    def _checkpoint(self, source: str) -> Checkpoint:
        # torch and diffusers: not for `match`
        from .checkpoint import ModelCheckpoint, PipelineCheckpoint, component_checkpoint

        name, component, options = split(source)
        home = folder(name)
        if not self.match(source):
            raise NexusError(f"'{source}' has neither a {INDEX} nor a {CONFIG} of a model that diffusers knows.")
        if not (home / INDEX).is_file():
            if component:
                raise NexusError(f"'{home}' is one model, not a pipeline: leave '#{component}' out.")
            return ModelCheckpoint(home, None, options)
        if not component:
            return PipelineCheckpoint(home, options)
        inner = home / component
        if Path(component).name != component or not (inner / CONFIG).is_file():
            known = sorted(each.parent.name for each in home.glob(f"*/{CONFIG}"))
            raise NexusError(f"'{home}' has no component '{component}'. It has: {', '.join(known) or 'none'}.")
        return component_checkpoint(inner, home, options)
