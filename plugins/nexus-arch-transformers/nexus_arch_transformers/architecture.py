"""The loader: any folder with a config.json whose model type transformers knows, and weights in safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nexus_specs import Blueprint, Checkpoint, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.configuration.limits import check
from nexus_torch.hugging_face.configuration.meant import model_type, way_out
from nexus_torch.hugging_face.configuration.originals import converted, foreign
from nexus_torch.hugging_face.configuration.pickled import found, refusal
from nexus_torch.hugging_face.configuration.trusting import is_remote, trusted, untrusted
from nexus_torch.hugging_face.folder import CONFIG, configuration, folder, has_weights
from nexus_torch.hugging_face.quiet import quiet

if TYPE_CHECKING:
    from nexus_torch.hugging_face.weights.checkpoint import HuggingFaceCheckpoint


OTHERS = ("model_index.json", "adapter_config.json")
"""What describes a pipeline and an adapter, which others open."""
DESCRIBED = f"Where that writes no {CONFIG}, put the one that the weights were published with beside them."


class Transformers:
    """Kind "architecture": Hugging Face folders. Never unpickles; runs a checkpoint's own code only of a commit on the
    hub that the registry trusts."""

    def match(self, source: str) -> int:
        """1 for a folder of a model type that transformers itself knows, and for one whose config.json cannot be read:
        `inspect` says why. NexusError for what is in the format of its makers, with what to name instead, and for what
        brings a program that is not trusted."""
        refuse_options(source)
        config, home = configuration(source), folder(source)
        known = is_remote(config) and trusted(home)
        if not known and (instead := converted(config) if config else _foreign(home)):
            raise NexusError(f"'{source}' {instead}")
        known = known or bool(model_type(config))
        if not known and is_remote(config):
            raise NexusError(untrusted(source, home, config) + way_out(config))
        return int(known or (not config and (home / CONFIG).is_file()))

    def origin(self, source: str) -> Origin | None:
        """The commit and the sizes of what lies on a hub; None for what is here."""
        return hub.origin(source)

    def latest(self, source: str) -> str:
        """The commit that a name on the hub has now; "" where nobody can tell."""
        return hub.latest(source)

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads configuration and headers. A config.json alone is described too: its weights
        are `missing`."""
        return self._checkpoint(source, weightless=True).described

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint. NexusError for weights that are pickled, packed in an unknown way, or not there."""
        checkpoint = self._checkpoint(source)
        from nexus_torch.hugging_face.weights.packed import refuse_unread

        refuse_unread(checkpoint.packing.settings, source)
        return checkpoint

    @quiet()
    def _checkpoint(self, source: str, *, weightless: bool = False) -> HuggingFaceCheckpoint:
        home = folder(source)
        if not (home / CONFIG).is_file():
            raise NexusError(_no_folder(source, home))
        values = configuration(source)
        check(values, str(home / CONFIG))                   # refused before anything is imported

        from nexus_torch.hugging_face.configuration.reading import read_config
        from nexus_torch.hugging_face.weights.checkpoint import (
            HuggingFaceCheckpoint,  # torch and transformers: not for `match`
        )

        named = model_type(values)
        if is_remote(values) and named != values.get("model_type") and (trusted(home) or not named):
            from nexus_torch.hugging_face.configuration.remote import open_remote

            return open_remote(source, home, weightless=weightless and not has_weights(home))
        config = read_config(home)
        return HuggingFaceCheckpoint(home, config, weightless=weightless and not has_weights(home))


def refuse_options(source: str) -> None:
    """NexusError for options of another loader behind the folder of a model: nothing here would follow them."""
    name, mark, options = source.partition("#")
    if not mark or not name or folder(source).exists():
        return
    config, home = configuration(name), folder(name)
    if model_type(config) and not any((home / other).is_file() for other in OTHERS):
        raise NexusError(
            f"'{source}' asks for '{options}', and a model of transformers takes nothing behind '#' (pipelines of "
            f"Diffusers do). Name it as '{name}'."
        )


def _foreign(home: Path) -> str:
    """What a place without a configuration holds instead, and how pickles are converted; "" for nothing known."""
    if not home.exists() or any((home / name).exists() for name in (CONFIG, *OTHERS)):
        return ""
    said, pickled = foreign(home), found(home)
    if not pickled or hub.weights(home) or any(next(home.glob(kind), None) for kind in ("*.safetensors", "*.gguf")):
        return said
    return f"{said or f'has no {CONFIG}.'}\n{refusal(home, pickled)}\n{DESCRIBED}"


def _no_folder(source: str, home: Path) -> str:
    """What is the matter with a place that holds no config.json."""
    if home.is_file():
        return f"'{source}' is a file. Name the folder that holds {CONFIG} and the weights (*.safetensors)."
    if home.is_dir():
        return f"'{source}' has no {CONFIG}. Name the folder of one checkpoint, with {CONFIG} and *.safetensors."
    return f"There is nothing at '{source}'. Name a folder, a package: resource, or OWNER/NAME of the hub."
