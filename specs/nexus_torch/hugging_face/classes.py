"""Which model class a configuration means, and what that class takes and gives."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
import transformers
from nexus_specs import NexusError
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from nexus_torch.skeleton import without_weights

from .attention import use_blocks
from .catalogue import is_head_of

LABELS = (
    "IMAGE_CLASSIFICATION", "VIDEO_CLASSIFICATION", "AUDIO_CLASSIFICATION", "SEQUENCE_CLASSIFICATION",
)  # fmt: skip
INPUTS = {
    "input_ids": "text", "pixel_values": "image", "pixel_values_videos": "video",
    "input_features": "audio", "input_values": "audio",
}  # fmt: skip
"""Arguments of a forward -> what they carry."""


def read_config(home: Path) -> PreTrainedConfig:
    """The configuration, without code from the folder, and without key-value caches."""
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(home, trust_remote_code=False, local_files_only=True)
    except (ValueError, KeyError, OSError) as error:
        raise NexusError(f"transformers cannot read '{home / 'config.json'}': {error}") from error
    for each in {id(config): config, id(text := config.get_text_config()): text}.values():
        each.use_cache = False
    return config


def model_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class that the checkpoint names, else the automatic one (which often is a body without its head)."""
    for name in config.architectures or ():
        if isinstance(found := getattr(transformers, name, None), type):
            return found
    try:
        return AutoModel._model_mapping[type(config)]  # type: ignore[no-any-return]
    except KeyError:
        raise NexusError(
            f"transformers {transformers.__version__} has no class {config.architectures} and none for the model type "
            f"'{config.model_type}'. Code from a checkpoint is never run: install a loader plugin for this family."
        ) from None


def skeleton(config: PreTrainedConfig) -> PreTrainedModel:
    """The model on the meta device in float32, evaluating, its buffers real."""
    kind = model_class(config)
    attention = "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"
    with without_weights():
        module = kind._from_config(config, dtype=torch.float32, attn_implementation=attention)
    use_blocks(module)
    return module.eval()


def takes(kind: type[PreTrainedModel]) -> tuple[str, ...]:
    """What goes in: the class's word for it, corrected by its inputs and by the tasks it is listed under."""
    if is_head_of(kind.__name__, "VIDEO_CLASSIFICATION"):
        return ("video",)
    said: Any = getattr(kind, "input_modalities", None)
    main = INPUTS.get(kind.main_input_name)
    named = (said,) if isinstance(said, str) else tuple(said or ())
    if main and main not in named and not (main == "image" and "video" in named):
        return (main,)                      # "text" is the default of every class
    arguments = {INPUTS.get(name) for name in inspect.signature(kind.forward).parameters}
    return tuple(each for each in named if each in arguments or each == "video") or named


def gives(kind: type[PreTrainedModel]) -> tuple[str, ...]:
    """What comes out: "text", "label" or "embedding"."""
    if is_head_of(kind.__name__, *LABELS):
        return ("label",)
    if kind.can_generate() or is_head_of(kind.__name__, "CTC", "RNNT", "TDT"):
        return ("text",)
    return ("embedding",)
