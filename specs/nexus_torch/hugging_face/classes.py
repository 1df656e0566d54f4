"""Which model class a configuration means, and what that class takes and gives."""

from __future__ import annotations

import inspect
import re
from typing import Any

import torch
import transformers
from nexus_specs import NexusError
from torch import nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_utils import PreTrainedAudioTokenizerBase

from nexus_torch.skeleton import without_weights

from .attention import use_blocks
from .catalogue import is_head_of, tasks
from .configuration import read_config, said, text_part
from .films import follows, reads_words

__all__ = ["gives", "is_paired", "model_class", "read_config", "runnable", "skeleton", "takes"]

_CODEC = PreTrainedAudioTokenizerBase
CODECS = ("MimiModel",)
"""Codecs that are not of that class."""
LABELS = (
    "IMAGE_CLASSIFICATION", "VIDEO_CLASSIFICATION", "AUDIO_CLASSIFICATION", "SEQUENCE_CLASSIFICATION",
)  # fmt: skip
INPUTS = {
    "input_ids": "text", "pixel_values": "image", "pixel_values_videos": "video",
    "input_features": "audio", "input_values": "audio",
}  # fmt: skip
"""Arguments of a forward -> what they carry."""
THINKING = {
    "thinker_config": ("ForConditionalGeneration$", "ThinkerForConditionalGeneration"),
    "semantic_config": ("Model$", "SemanticModel"),
}  # fmt: skip
"""Configurations of the parts that think, and how their classes are called after the whole's (Qwen-Omni, Bark)."""


def model_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class that the checkpoint names, else the automatic one (which often is a body without its head)."""
    for name in config.architectures or ():
        for each in (str(name), *_same_head(str(name), config.model_type)):
            if (found := _class(each)) is not None and _builds(found, config) and not _guesses(found):
                return found
    try:
        return AutoModel._model_mapping[type(config)]  # type: ignore[no-any-return]
    except KeyError:
        raise NexusError(
            f"transformers {transformers.__version__} has no class {config.architectures} and none for the model type "
            f"'{config.model_type}'. Code from a checkpoint is never run: install a loader plugin for this family."
        ) from None


def runnable(config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of what can run: of a model that only generates, part after part (Qwen-Omni: thinker, talker,
    vocoder), the part that thinks. Its weights carry the part's name as prefix."""
    for name, part in THINKING.items():
        inner = getattr(config, name, None)
        if isinstance(inner, PreTrainedConfig) and model_class(config).forward is nn.Module.forward:
            inner.architectures = [re.sub(part[0], part[1], model_class(config).__name__)]
            inner.dtype = inner.dtype or config.dtype
            return inner
    return config


def _class(name: Any) -> type[PreTrainedModel] | None:
    """A model class of transformers by its name; None for whatever else has that name there."""
    try:
        found = getattr(transformers, str(name), None)
    except ImportError as error:                            # a library that this very model needs
        raise NexusError(f"transformers needs more for '{name}': {' '.join(str(error).split())[:300]}") from error
    return found if isinstance(found, type) and issubclass(found, PreTrainedModel) else None


def _guesses(kind: type[PreTrainedModel]) -> bool:
    """Whether a head learns by guessing what is hidden and must be told where (VideoMAE's, published with its head):
    its body is what there is to observe."""
    hidden = inspect.signature(kind.forward).parameters.get("bool_masked_pos")
    return hidden is not None and hidden.default is inspect.Parameter.empty


def _builds(kind: type[PreTrainedModel], config: PreTrainedConfig) -> bool:
    """Whether a class is made of such a configuration, or of its text part, or listed for its model type (InternLM 3
    has no classes of its own and runs as a Llama)."""
    made_of = kind.config_class
    fits = made_of is None or isinstance(config, made_of) or isinstance(text_part(config), made_of)
    return fits or any(kind.__name__ in entries.get(config.model_type, ()) for entries in tasks().values())


def _same_head(name: str, model_type: str) -> list[str]:
    """The classes listed for a model type whose head is called like that of `name` ("…ForCausalLM")."""
    _, mark, head = name.rpartition("For")
    listed = [each for entries in tasks().values() for each in entries.get(model_type, ())]
    return [each for each in dict.fromkeys(listed) if mark and each.endswith(f"For{head}")]


def skeleton(config: PreTrainedConfig, kind: type[PreTrainedModel] | None = None) -> PreTrainedModel:
    """The model on the meta device in torch's default dtype, evaluating, its buffers real.

    `kind` is the class where transformers does not know it: a family's own composition."""
    kind = kind or model_class(config)
    text, made_of = text_part(config), kind.config_class
    if isinstance(made_of, type) and not isinstance(config, made_of) and isinstance(text, made_of):
        config = text                                       # a head of the text part alone
    try:
        with without_weights():
            module = kind._from_config(config, dtype=torch.get_default_dtype(), attn_implementation=None)
    except NexusError:
        raise
    except Exception as error:                              # numbers that do not fit, a library that is missing
        raise NexusError(
            f"transformers {transformers.__version__} cannot build {kind.__name__} from this config.json: "
            f"{said(error)}. Fetch the file again, update transformers, or install what it asks for."
        ) from error
    use_blocks(module)
    return module.eval()


def takes(kind: type[PreTrainedModel]) -> tuple[str, ...]:
    """What goes in: the class's word for it, corrected by its inputs and by the tasks it is listed under."""
    if follows(kind):
        return ("video", "text") if reads_words(kind) else ("video",)
    if is_head_of(kind.__name__, "VIDEO_CLASSIFICATION"):
        return ("video",)
    said: Any = getattr(kind, "input_modalities", None)
    said_first: Any = kind.main_input_name                  # a list of names in OneFormer
    main = INPUTS.get(said_first if isinstance(said_first, str) else said_first[0])
    named = (said,) if isinstance(said, str) else tuple(said or ())
    if main and main not in named and not (main == "image" and "video" in named):
        return (main,)                      # "text" is the default of every class
    arguments = {INPUTS.get(name) for name in inspect.signature(kind.forward).parameters}
    return tuple(each for each in named if each in arguments or each == "video") or named


def is_paired(kind: type[PreTrainedModel]) -> bool:
    """Whether a model is two encoders side by side, of text and of pictures or sounds, in one space (CLIP, CLAP)."""
    names = {name for name in ("text", "image", "audio") if hasattr(kind, f"get_{name}_features")}
    return gives(kind) == ("embedding",) and len(names) == 2 and "text" in names and set(takes(kind)) == names


def _is_codec(kind: type[PreTrainedModel]) -> bool:
    return issubclass(kind, _CODEC) or kind.__name__ in CODECS


def gives(kind: type[PreTrainedModel]) -> tuple[str, ...]:
    """What comes out: "text", "label", "audio" (waves or their codes) or "embedding"."""
    if is_head_of(kind.__name__, *LABELS):
        return ("label",)
    said: Any = getattr(kind, "output_modalities", None)
    named = (said,) if isinstance(said, str) else tuple(said or ())
    if named == ("audio",) or is_head_of(kind.__name__, "TEXT_TO_WAVEFORM") or _is_codec(kind):
        return ("audio",)
    if kind.can_generate() or is_head_of(kind.__name__, "CTC", "RNNT", "TDT"):
        return ("text",)
    return ("embedding",)
