"""The head of a checkpoint that names none, or one under a name that transformers does not have.

Names go out of use ("T5WithLMHeadModel" is published with T5 to this day) and configurations are written by hand. The
automatic class of a model type is its body: without logits, which is not what such a name means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .catalogue import tasks

WRITING = ("IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "SPEECH_SEQ_2_SEQ", "CAUSAL_LM")
"""Tasks whose models write text, those of a whole model before those of its text part."""
GUESSING, SOUNDING = "MASKED_LM", "TEXT_TO_WAVEFORM"
"""Tasks of models that fill gaps, and of those that sound. Some of both are listed as decoders too: what the first are
when told so, and what the others have inside."""
WRITES = re.compile(r"(LM|LMHead(Model)?|MTModel|For\w*(Generation|LM|Seq2Seq|Causal\w*))$")
"""Names of classes that write."""
BODY = re.compile(r"^(?!.*For[A-Z]).*(Model|Encoder|Decoder|Backbone|Transformer)$")
"""Names of classes without a head."""


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


def lost(named: Sequence[str], head: str) -> str:
    """What is said of a head that a configuration names and nothing here has, where the body alone is opened; "" where
    the body is what it asks for. `head` is the class that is opened."""
    asked = next(iter(named), "")
    if not asked or asked == head or BODY.match(asked) or not BODY.match(head):
        return ""
    return f"the head of {asked}, a class that transformers does not have ({head} is opened)"
