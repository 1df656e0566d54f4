"""A text or image encoder of a pipeline: a model of transformers, or one that diffusers has made on its base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_specs import Part
from nexus_torch.hugging_face.configuration.classes import read_config, skeleton
from nexus_torch.hugging_face.weights.checkpoint import HuggingFaceCheckpoint
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from .folder import has_weights


class Encoder:
    """A model of transformers, opened by the way that all of them are."""

    def __init__(self, home: Path, kind: type[PreTrainedModel], *, weightless: bool = False) -> None:
        """`kind`: the class that the pipeline's index names."""
        self.config = encoder_config(home, kind)
        gone = weightless and not has_weights(home)
        self.inner = encoder_checkpoint(home, self.config, kind, weightless=gone)
        blueprint = self.inner.blueprint
        self.missing = tuple(each for each in blueprint.missing if each.startswith("weights"))
        self.expected = {blueprint.dtype: blueprint.bytes} if gone else {}
        self.parts, self.stacks, self.parameters = self.inner.parts, blueprint.stacks, blueprint.parameters
        self.buffers, self.alive = blueprint.buffers, 0         # beside a denoiser's it is small
        self.quantisation, self.packing = blueprint.quantisation, self.inner.packing

    def skeleton(self) -> nn.Module:
        """The module on the meta device."""
        return self.inner.skeleton()

    def assemble(self, part: Part, raw: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """By transformers' own conversions."""
        return self.inner.assemble(part, raw)


def encoder_config(home: Path, kind: type[PreTrainedModel]) -> PreTrainedConfig:
    """The configuration of an encoder, of the class that the pipeline's index names: its own may name another, as of a
    model that was saved with a head which the pipeline does without (T5), or without one that it needs (CLIP)."""
    made_of: Any = kind.config_class
    if not _is_known(kind) and made_of.model_type not in CONFIG_MAPPING:
        CONFIG_MAPPING.register(made_of.model_type, made_of)
    config = read_config(home)
    if not _is_known(kind) and not isinstance(config, made_of):
        config = made_of(**config.to_dict())
    config.architectures = list(dict.fromkeys((kind.__name__, *(config.architectures or ()))))
    return config


def encoder_checkpoint(
    home: Path, config: PreTrainedConfig, kind: type[PreTrainedModel], *, weightless: bool
) -> HuggingFaceCheckpoint:
    """An encoder as transformers opens it; of a class that diffusers has (Kandinsky 2.1), made of that class."""
    if _is_known(kind):
        return HuggingFaceCheckpoint(home, config, weightless=weightless)
    bare = {"bare": lambda self: skeleton(self.config, kind)}
    return type(HuggingFaceCheckpoint.__name__, (HuggingFaceCheckpoint,), bare)(home, config, weightless=weightless)


def _is_known(kind: type[PreTrainedModel]) -> bool:
    """Whether a class is one of transformers' own."""
    return kind.__module__.startswith("transformers.")
