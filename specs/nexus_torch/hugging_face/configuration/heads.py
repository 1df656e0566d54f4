"""Heads by their names: which give scores, and which one is meant by a checkpoint that names none, or one under a name
that transformers does not have.

Names go out of use ("T5WithLMHeadModel" is published with T5 to this day) and configurations are written by hand. The
automatic class of a model type is its body: without logits, which is not what such a name means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .catalogue import is_head_of, tasks

WRITING = ("IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "SPEECH_SEQ_2_SEQ", "CAUSAL_LM")
"""Tasks whose models write text, those of a whole model before those of its text part."""
GUESSING, SOUNDING = "MASKED_LM", "TEXT_TO_WAVEFORM"
"""Tasks of models that fill gaps, and of those that sound. Some of both are listed as decoders too: what the first are
when told so, and what the others have inside."""
WRITES = re.compile(r"(LM|LMHead(Model)?|MTModel|For\w*(Generation|LM|Seq2Seq|Causal\w*))$")
"""Names of classes that write."""
BODY = re.compile(r"^(?!.*For[A-Z]).*(Model|Encoder|Decoder|Backbone|Transformer)$")
"""Names of classes without a head."""
SCORES = (
    "MASKED_LM", "TOKEN_CLASSIFICATION", "QUESTION_ANSWERING", "TABLE_QUESTION_ANSWERING",
    "DOCUMENT_QUESTION_ANSWERING", "MULTIPLE_CHOICE", "NEXT_SENTENCE_PREDICTION", "SEMANTIC_SEGMENTATION",
    "IMAGE_SEGMENTATION", "INSTANCE_SEGMENTATION", "UNIVERSAL_SEGMENTATION", "OBJECT_DETECTION",
    "ZERO_SHOT_OBJECT_DETECTION", "DEPTH_ESTIMATION", "NORMAL_ESTIMATION", "POINTMAP_ESTIMATION", "POSE_ESTIMATION",
    "MASKED_IMAGE_MODELING", "IMAGE_TO_IMAGE", "IMAGE_MATTING", "TEXT_RECOGNITION", "TABLE_RECOGNITION",
    "AUDIO_FRAME_CLASSIFICATION",
)  # fmt: skip
"""Tasks of heads that give a sample many numbers: some for each token, point, object or choice."""
CLASSES = (
    "TOKEN_CLASSIFICATION", "SEMANTIC_SEGMENTATION", "IMAGE_SEGMENTATION", "INSTANCE_SEGMENTATION",
    "UNIVERSAL_SEGMENTATION", "OBJECT_DETECTION", "AUDIO_FRAME_CLASSIFICATION",
)  # fmt: skip
"""Those of which each token, point or object is of a class that a configuration names."""
FORESEEING = ("TIME_SERIES_PREDICTION", "TIME_SERIES_REGRESSION")
"""Tasks of heads that give numbers of a series; those of distributions transformers lists under none."""
VECTORS = ("ZERO_SHOT_IMAGE_CLASSIFICATION", "RETRIEVAL", "AUDIO_XVECTOR")
"""Tasks of heads that give a vector, or one for each of two encoders."""
HEAD, COMPARING = re.compile(r"For[A-Z]"), re.compile(r"For(Retrieval|ContrastiveLearning|XVector)$")
"""Names of classes with a head, and of those whose heads give vectors."""


def foresees(name: str) -> bool:
    """Whether a class gives numbers that are to be those of a series: its next ones, or some that belong to it."""
    return is_head_of(name, *FORESEEING) or name.endswith(("ForPrediction", "ForRegression"))


def scores(name: str) -> bool:
    """Whether a class that neither writes nor sounds, nor names one class, gives scores: of the tasks that do, or of
    none that transformers lists, with a head that makes no vectors."""
    vectors = COMPARING.search(name) or is_head_of(name, *VECTORS)
    return is_head_of(name, *SCORES) or bool(HEAD.search(name) and not vectors)


def writers(named: Sequence[str], model_type: str) -> tuple[str, ...]:
    """Classes of a model type that write, the likeliest first, where a configuration asks for one: by a name that is
    none of transformers', or by naming no class at all."""
    asked = any(WRITES.search(each) for each in named)
    if named and not asked:
        return ()
    listed = tasks()
    guesses = listed.get(GUESSING, {}).get(model_type, ())
    within = guesses or listed.get(SOUNDING, {}).get(model_type)
    found = [each for task in WRITING if not within or task != "CAUSAL_LM"
             for each in listed.get(task, {}).get(model_type, ())]  # fmt: skip
    return tuple(dict.fromkeys((*found, *(guesses if asked else ()))))


def bodiless(named: Sequence[str], model_type: str) -> tuple[str, ...]:
    """Classes of a model type that has no body of its own, where a configuration asks for that or for nothing: Qwen2.5
    Omni is published as Qwen2_5OmniModel, a name that transformers no longer has."""
    if not all(map(BODY.match, named)):
        return ()
    listed = (each for entries in tasks().values() for each in entries.get(model_type, ()))
    return tuple(dict.fromkeys((*writers((), model_type), *listed)))


def lost(named: Sequence[str], head: str) -> str:
    """What is said of a head that a configuration names and nothing here has, where the body alone is opened; "" where
    the body is what it asks for. `head` is the class that is opened."""
    asked = next(iter(named), "")
    if not asked or asked == head or BODY.match(asked) or not BODY.match(head):
        return ""
    return f"the head of {asked}, a class that transformers does not have ({head} is opened)"
