"""The loader: folders of diffusers, whole pipelines or one model."""

from __future__ import annotations

from pathlib import Path

from nexus_specs import Blueprint, Checkpoint, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.folder import folder
from nexus_torch.hugging_face.quiet import quiet

from .catalogue import models
from .folder import CONFIG, INDEX, described
from .options import split
from .single import is_single, words

ADAPTER = "adapter_config.json"
"""What an adapter's folder holds."""


class Diffusers:
    """Kind "architecture": Diffusers folders. Never runs code from a checkpoint, never unpickles."""

    def match(self, source: str) -> int:
        """2 for a folder with a model_index.json, or with a config.json of one of diffusers' own models; 1 for
        what a folder can be made of: a pipeline in one file, or a LoRA."""
        name, _, fragment = source.partition("#")
        _, added, adapter = fragment.rpartition("+")
        if not name or (added and (Path(adapter) / ADAPTER).is_file()):
            return 0                                        # an adapter on top of a component: its own loader's
        home = folder(name)
        said = described(home)
        if (home / INDEX).is_file():
            return 2
        if not said and is_single(home):
            return 1
        name = said.get("_class_name")
        return 2 * int(isinstance(name, str) and ("_diffusers_version" in said or name in models()))

    def origin(self, source: str) -> Origin | None:
        """The commit and the sizes of what lies on a hub; None for what is here."""
        return hub.origin(source)

    def latest(self, source: str) -> str:
        """The commit that a name on the hub has now; "" where nobody can tell."""
        return hub.latest(source)

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads configurations and headers. Configurations alone are described too: their
        weights are `missing`."""
        return self._checkpoint(source, weightless=True).blueprint

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint. NexusError for weights that are pickled, packed in a way that is not read, or not there."""
        from nexus_torch.hugging_face.weights.packed import refuse_unread  # torch: not for `match`

        checkpoint = self._checkpoint(source)
        models = getattr(checkpoint, "models", {"": checkpoint})    # of a pipeline, or the one that it is
        home = source.partition("#")[0]
        for name, each in models.items():
            inner = getattr(each, "model", each)
            refuse_unread(inner.packing.settings, f"{home}#{name}" if name else source)
        return checkpoint

    @quiet()
    def _checkpoint(self, source: str, *, weightless: bool = False) -> Checkpoint:
        # torch and diffusers: not for `match`
        from .checkpoint import ModelCheckpoint, PipelineCheckpoint, component_checkpoint

        name, component, options = split(source)
        home = folder(name)
        if not described(home) and (said := words(home)):
            raise NexusError(said)
        if not self.match(source):
            raise NexusError(f"'{source}' has neither a {INDEX} nor a {CONFIG} of a model that diffusers knows.")
        if not (home / INDEX).is_file():
            if component:
                raise NexusError(f"'{home}' is one model, not a pipeline: leave '#{component}' out.")
            return ModelCheckpoint(home, None, options, weightless=weightless)
        if not component:
            return PipelineCheckpoint(home, options, weightless=weightless)
        inner = home / component
        if Path(component).name != component or not (inner / CONFIG).is_file():
            known = sorted(each.parent.name for each in home.glob(f"*/{CONFIG}"))
            raise NexusError(f"'{home}' has no component '{component}'. It has: {', '.join(known) or 'none'}.")
        return component_checkpoint(inner, home, options, weightless=weightless)
