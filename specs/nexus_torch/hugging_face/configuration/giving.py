"""What a model class gives (words, a class, a sound, scores of many things, one vector), and by which of its parts."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_utils import PreTrainedAudioTokenizerBase

from ..outputs.signals import EMBEDDINGS, OWN, STATES
from .catalogue import is_head_of
from .heads import foresees, scores

_CODEC = PreTrainedAudioTokenizerBase
CODECS = ("MimiModel",)
"""Codecs that are not of that class."""
LABELS = (
    "IMAGE_CLASSIFICATION", "VIDEO_CLASSIFICATION", "AUDIO_CLASSIFICATION", "SEQUENCE_CLASSIFICATION",
    "VISUAL_QUESTION_ANSWERING",
)  # fmt: skip
"""Tasks of heads whose answer is one class; a question about a picture may be answered in words, too (BLIP)."""
SOUNDS = ("TEXT_TO_WAVEFORM", "TEXT_TO_SPECTROGRAM")
SPECTRUM = "spectrogram"
"""What outputs call that of a sound, also of heads that transformers lists under no task (speech to speech)."""


def _is_codec(kind: type[PreTrainedModel]) -> bool:
    return issubclass(kind, _CODEC) or kind.__name__ in CODECS


def gives(kind: type[PreTrainedModel]) -> tuple[str, ...]:
    """What comes out: "text", "label", "audio" (waves, their codes or their spectrum) or "embedding"; of a head that
    scores tokens, points or choices those "scores", of one that foresees numbers "predictions", and the embedding that
    it has below it."""
    named, writes = kind.__name__, kind.can_generate()
    said: Any = getattr(kind, "output_modalities", None)
    modalities = (said,) if isinstance(said, str) else tuple(said or ())
    if is_head_of(named, *LABELS) and not (writes and is_head_of(named, "VISUAL_QUESTION_ANSWERING")):
        return ("label",)
    if modalities == ("audio",) or is_head_of(named, *SOUNDS) or _is_codec(kind):
        return ("audio",)
    if writes or is_head_of(named, "CTC", "RNNT", "TDT"):
        return ("text",)
    if foresees(named):
        return ("predictions", "embedding")
    if not scores(named):
        return ("embedding",)
    return ("audio",) if SPECTRUM in _declared(kind) else ("scores", "embedding")


def given(module: PreTrainedModel) -> tuple[str, ...]:
    """The same of a model, whose head may have no states below it that could be had: neither its own output holds
    some, nor, by what that says, the one of its body."""
    found, under = gives(type(module)), body(module)
    if found not in (("scores", "embedding"), ("predictions", "embedding")) or _declared(type(module)) & {*OWN}:
        return found
    below = _declared(type(under)) if under is not None else set[str]()
    unsaid = under is not None and not below
    return found if unsaid or below & {*EMBEDDINGS, *STATES} else found[:1]


def body(module: PreTrainedModel) -> nn.Module | None:
    """What of a model its head stands on: its base, else the network whose maps it reads (Depth Anything's); None where
    that is the model itself."""
    if module.base_model is not module:
        return module.base_model
    within = (each for each in module.children() if isinstance(each, PreTrainedModel))
    return next(within, None) if scores(type(module).__name__) else None


def writer(module: PreTrainedModel) -> PreTrainedModel:
    """What of a model scores the words that it writes: itself, or the decoder inside one that has neither a head nor
    scores of its own (CLVP's are of pairs)."""
    scored = any(name.startswith("logits") for name in _declared(type(module)))
    if gives(type(module)) != ("text",) or module.get_output_embeddings() is not None or scored:
        return module
    within = (each for each in module.children() if isinstance(each, PreTrainedModel) and each.can_generate())
    return next(within, module)


def _declared(kind: type[nn.Module]) -> set[str]:
    """Names of all that a forward says it gives; none where it says nothing that can be read."""
    try:
        said = get_type_hints(inspect.unwrap(kind.forward)).get("return")
    except (NameError, TypeError, AttributeError):          # a name that its module imports for type checkers alone
        return set()
    return {each.name for found in (get_args(said) or (said,)) if is_dataclass(found) for each in fields(found)}
