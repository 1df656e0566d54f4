"""Which model class a configuration means, and what that class takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Container
from typing import Any

import torch
import transformers
from nexus_specs import NexusError
from torch import nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from nexus_torch.skeleton import without_weights

from ..attention import use_blocks
from ..inputs.films import follows, reads_words
from ..text.decoding import channels_of
from .calling import called
from .catalogue import is_head_of, tasks
from .giving import gives
from .heads import bodiless, lost, writers
from .odd import odd
from .reading import read_config, said, text_part
from .routing import routed_exactly

__all__ = ["gives", "headless", "is_paired", "model_class", "read_config", "runnable", "skeleton", "takes"]

SEES_PADDING = frozenset({
    "funnel", "xlnet", "minicpmv4_6", "minicpmv4_7", "canine", "convbert", "fnet", "nystromformer", "yoso", "mra",
    "reformer", "cpmant", "prophetnet", "big_bird", "bigbird_pegasus", "longformer", "led", "pegasus_x",
    "sam3_lite_text_text_model", "musicgen_melody", "blt",
})  # fmt: skip
"""Model types whose states are of several tokens, or whose last token may be padding, or whose pictures are patches of
one sample; whose convolutions, transforms, hashes and landmarks go over padding; whose words stand before what is
sung (MusicGen Melody); and those that fill a text up to whole windows, or cut it into patches (BLT), with states in
which nobody can tell the padding."""
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
    """The class that the checkpoint names; where that is none, one that writes if a name asks for it or nothing is
    named; else the automatic one (which often is a body without its head)."""
    named = [str(each) for each in config.architectures or ()]
    same = [each for name in named for each in (name, *_same_head(name, config.model_type))]
    known = any(_class(each) is not None for each in named)
    for each in (*same, *(() if known else writers(named, config.model_type))):
        if (found := _class(each)) is not None and _builds(found, config) and not _guesses(found):
            return found
    try:
        bare: Any = AutoModel._model_mapping[type(config)]
        return bare[0] if isinstance(bare, tuple) else bare  # type: ignore[no-any-return]
    except KeyError:
        for each in bodiless(named, config.model_type):
            if (found := _class(each)) is not None and _builds(found, config):
                return found
        raise NexusError(
            f"transformers {transformers.__version__} has no class {config.architectures} and none for the model type "
            f"'{config.model_type}'. Code from a checkpoint is never run: install a loader plugin for this family."
        ) from None


def headless(config: PreTrainedConfig, kind: type[PreTrainedModel]) -> str:
    """What is missing where a checkpoint names a head that transformers does not have, and its body alone is opened as
    `kind`; "" for all others."""
    named = [str(each) for each in config.architectures or ()]
    return "" if any(_class(each) is not None for each in named) else lost(named, kind.__name__)


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
        why = said(error)
        raise NexusError(
            f"transformers {transformers.__version__} cannot build {kind.__name__} from this config.json: "
            f"{why}.{odd(type(config), config.to_dict(), why)} Fetch the file again, update transformers, or "
            "install what it asks for."
        ) from error
    use_blocks(module)
    called(module)
    routed_exactly(module)
    return module.eval()


def takes(kind: type[PreTrainedModel]) -> tuple[str, ...]:
    """What goes in: the class's word for it, corrected by its inputs and by the tasks it is listed under."""
    if follows(kind):
        return ("video", "text") if reads_words(kind) else ("video",)
    if is_head_of(kind.__name__, "VIDEO_CLASSIFICATION"):
        return ("video",)
    said: Any = getattr(kind, "input_modalities", None)
    named = (said,) if isinstance(said, str) else tuple(said or ())
    names = inspect.signature(kind.forward).parameters
    carried = {INPUTS[name] for name in names if name in INPUTS}
    if _by_default(kind, "input_modalities") and len(carried) > 1 and is_head_of(kind.__name__, ""):
        return tuple(each for each in ("text", "image", "audio", "video") if each in carried)
    if "grid_thw" in names and "text" not in carried:       # a tower that looks at a grid of patches
        return tuple(each for each in named if each != "text") or ("image",)
    if not carried and "timesteps" in names and _by_default(kind, "input_modalities"):
        return ("time",)                                    # numbers that come step by step: the states of a game
    main = _main(kind, names)
    if main and main not in named and not (main == "image" and "video" in named):
        return (main,)                      # "text" is the default of every class
    kept = tuple(each for each in named if each in carried or each == "video")
    return kept if carried.intersection(kept) else named


def _main(kind: type[PreTrainedModel], names: Container[str]) -> str:
    """What the principal input carries, where the forward has that input ("input_ids" is the default of every class);
    "" where a class says itself that its tokens are something else (the colours of ImageGPT)."""
    said: Any = kind.main_input_name                        # a list of names in OneFormer
    first = said if isinstance(said, str) else said[0]
    both = any({"main_input_name", "input_modalities"} <= vars(each).keys() for each in kind.__mro__[:-1]
               if each is not PreTrainedModel)  # fmt: skip
    return "" if first == "input_ids" and (both or first not in names) else INPUTS.get(first, "")


def _encoders(kind: type[PreTrainedModel]) -> set[str]:
    """What a model has an encoder of its own for, side by side."""
    return {name for name in ("text", "image", "audio", "video") if hasattr(kind, f"get_{name}_features")}


def _by_default(kind: type[PreTrainedModel], name: str) -> bool:
    """Whether a class says nothing of its own, nor do those that it is made of."""
    return next(each for each in kind.__mro__ if name in vars(each)) is PreTrainedModel


def is_paired(kind: type[PreTrainedModel]) -> bool:
    """Whether a model is two encoders side by side, of text and of pictures or sounds, in one space (CLIP, CLAP)."""
    names = _encoders(kind) - {"video"}
    return "embedding" in gives(kind) and len(names) == 2 and "text" in names and set(takes(kind)) == names


def is_alone(config: PreTrainedConfig, kind: type[PreTrainedModel]) -> bool:
    """Whether every sample is a batch of its own: of models that see padding (SEES_PADDING), of those that find a
    text's last token by the token for padding, and have none, or look behind it where there is padding (T5Gemma, whose
    decoder is fed the text moved on by one), and of those that speak, each text as long as it is (a decoder of
    codebooks is fed their start alone)."""
    reads = "text" in takes(kind)
    judges = gives(kind) == ("label",) and reads
    ends = judges and (hasattr(kind, "_shift_right") or text_part(config).pad_token_id is None)
    speaks = gives(kind) == ("audio",) and reads and channels_of(config) == 1
    return ends or speaks or config.model_type in SEES_PADDING
