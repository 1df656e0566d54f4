"""The base under the class that an adapter was trained on: a language model becomes a classifier, or gives vectors, and
its new head lies with the adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_specs import Checkpoint
from nexus_torch.hugging_face.configuration.catalogue import tasks
from nexus_torch.hugging_face.configuration.classes import model_class, read_config, skeleton
from nexus_torch.hugging_face.quiet import quiet
from nexus_torch.hugging_face.weights.checkpoint import HuggingFaceCheckpoint
from transformers import PreTrainedConfig, PreTrainedModel

from .changes import changes
from .modules import parameters
from .settings import Settings
from .stored import extents_of

LISTED: Mapping[str, str] = {
    "SEQ_CLS": "SEQUENCE_CLASSIFICATION", "TOKEN_CLS": "TOKEN_CLASSIFICATION", "QUESTION_ANS": "QUESTION_ANSWERING",
    "FEATURE_EXTRACTION": "", "CAUSAL_LM": "CAUSAL_LM", "SEQ_2_SEQ_LM": "SEQ_TO_SEQ_CAUSAL_LM",
}  # fmt: skip
"""`task_type` of an adapter -> what transformers lists the class under that PEFT puts around it."""


class Headed(HuggingFaceCheckpoint):
    """A base under a head that its own files do not hold."""

    def __init__(self, home: Path, config: PreTrainedConfig, brought: frozenset[str]) -> None:
        """`brought`: names in the module of what the adapter holds whole."""
        self.brought = brought
        super().__init__(home, config)

    def _weights_without(self, module: PreTrainedModel) -> str:
        self.filled |= self.brought
        return super()._weights_without(module)


@quiet()
def under_its_head(home: Path, settings: Settings, base: Checkpoint) -> Checkpoint | None:
    """The base as the class that the adapter names, by itself or by its task; None where it names none, or that is
    what the base is already, or the base is no plain folder of transformers."""
    if type(base) is not HuggingFaceCheckpoint:
        return None
    names = [settings.wraps, *tasks().get(LISTED.get(settings.task, "-"), {}).get(base.config.model_type, ())]
    for name in filter(None, names):
        config = read_config(base.home)
        config.architectures = [name]
        kind = model_class(config)
        if kind.__name__ == name and name != base.blueprint.head:
            shapes = parameters(skeleton(config, kind))
            brought = _whole(home, settings, shapes)
            if labels := _labels(config, shapes, brought):
                config = read_config(base.home)             # the first has what building the module wrote
                config.architectures, config.num_labels = [name], labels
            return Headed(base.home, config, frozenset(brought))
    return None


def _whole(home: Path, settings: Settings, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Weights of a module that the adapter holds themselves, with the shapes that they have there."""
    found = changes(extents_of(home), settings, shapes).values()
    return {each.name: tuple(each.stored["whole"].shape) for each in found if "whole" in each.stored}


def _labels(config: Any, shapes: Mapping[str, tuple[int, ...]], brought: Mapping[str, tuple[int, ...]]) -> int:
    """How many classes the adapter's head tells apart, where the base's configuration says another number; else 0."""
    heads = (name for name in brought if shapes.get(name, ())[:1] == (config.num_labels,))
    return next((brought[name][0] for name in heads if brought[name] != shapes[name]), 0)
