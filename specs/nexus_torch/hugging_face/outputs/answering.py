"""Answers of models that generate: text from text, from text with an image or a sound, from speech."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import torch
from nexus_specs import NexusError, Sample
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..configuration.reading import said
from ..inputs.collate import Preprocessor
from ..inputs.fields import GENERATION, check_values
from ..inputs.understanding import understood
from ..text.asking import asked
from ..text.chatting import MESSAGES
from ..text.decoding import TARGET
from ..text.languages import language_id, languages
from .generating import configure

LONGEST = 128
"""The longest answer in tokens unless a sample says more ("max_new_tokens")."""
STOP = "stop"
"""The field with a text, or several, before which an answer ends: what was never taught to stop goes on with a question
of its own ("Question:"), and the answer that is judged would be that one's."""
PADS = "pad_token_id=self.config"
"""Stands in a class's own `generate` that says itself what pads."""
TAUGHT = ("decoder_input_ids", "decoder_attention_mask")
"""What a forward is fed of the answer, and `generate` makes itself."""


def answer(
    module: nn.Module, preprocessor: Preprocessor, sample: Sample, check: Callable[[Any, Sequence[Sample]], None]
) -> str:
    """The greedy answer to one sample: what follows its "prompt" (or "text"), or what its sound says. `check` raises
    for tokens that no embedding has."""
    if not isinstance(module, PreTrainedModel):
        raise NexusError(f"'{preprocessor.home.name}' does not answer: {type(module).__name__} is no model that does.")
    longest = _longest(sample)
    with understood([sample], preprocessor.home):
        batch = asked(preprocessor, _asked(sample), longest)
    check(batch, [sample])
    if not module.can_generate():
        return _heard(module, preprocessor, batch)
    tokenizer = preprocessor.tokenizer
    given = {name: value for name, value in batch.items() if name not in TAUGHT}
    told = configure(module, preprocessor.generation, preprocessor.home.name)
    limits: dict[str, Any] = {"max_new_tokens": longest, "num_beams": 1, **_stops(module, tokenizer)}
    limits |= _start(module, preprocessor)
    if language := languages(sample)[1]:
        limits["forced_bos_token_id"] = language_id(tokenizer, language, preprocessor.home.name)
    known = getattr(told, "stop_strings", None) or ()
    if stops := [*([known] if isinstance(known, str) else known), *_stop(sample)]:
        limits |= {"tokenizer": tokenizer, "stop_strings": stops}
    try:
        made = module.generate(**given, do_sample=False, use_cache=True, **limits)
    except torch.OutOfMemoryError:
        raise
    except (ValueError, TypeError, RuntimeError, LookupError, AttributeError) as error:
        check_values(f"{preprocessor.home}/{GENERATION}", GENERATION, preprocessor.generation)
        more = ". What its generation_config.json asks for may be what it cannot" if preprocessor.generation else ""
        raise NexusError(f"{type(module).__name__} cannot answer '{sample.key}': {said(error)}{more}.") from error
    tokens = getattr(made, "sequences", made)[0].tolist()
    prompt = 0 if preprocessor.decoder_start is not None or "input_ids" not in batch else batch["input_ids"].shape[1]
    return _stopped(sample, following(tokenizer, tokens[:prompt], tokens[prompt:]))


def following(tokenizer: Any, prompt: Sequence[int], tokens: Sequence[int]) -> str:
    """The text that tokens add to a prompt, with the spaces that it begins with: alone, Llama's decoders would take one
    away, and the body of a function would lose its indentation. As transformers' pipelines have it."""
    alone = written(tokenizer, tokens)
    if not prompt:
        return alone
    before, whole = written(tokenizer, prompt), written(tokenizer, [*prompt, *tokens])
    more = whole.removeprefix(before)
    return more if whole.startswith(before) and more.endswith(alone) else alone


def _stopped(sample: Sample, answer: str) -> str:
    """The answer up to what its sample says that it ends with ("stop": a text or several)."""
    ends = [answer.find(each) for each in _stop(sample)]
    return answer[: min((end for end in ends if end >= 0), default=len(answer))]


def written(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The text of tokens, each of which was meant: tokenizers of models of speech drop repeats, since they expect the
    likeliest token of every frame ("hello" would become "helo"; a transducer writes no frames at all)."""
    grouping = "group_tokens" in inspect.signature(tokenizer._decode).parameters
    return str(tokenizer.decode(tokens, skip_special_tokens=True, **({"group_tokens": False} if grouping else {})))


def _stop(sample: Sample) -> list[str]:
    said = sample.fields.get(STOP) or ()
    if not isinstance(said, (str, list, tuple)) or not all(isinstance(each, str) for each in said):
        raise NexusError(f"stop of sample '{sample.key}' is {said!r}: a text, or a list of texts.")
    return [each for each in ([said] if isinstance(said, str) else said) if each]


def _longest(sample: Sample) -> int:
    """How many tokens its answer may have. NexusError for what is no number of them."""
    said = sample.fields.get("max_new_tokens")
    try:
        longest = LONGEST if said is None else int(said)    # None: an empty cell of a table
    except (TypeError, ValueError, OverflowError):
        longest = 0
    if longest < 1:
        raise NexusError(f"max_new_tokens of sample '{sample.key}' is {said!r}: a whole number from 1 on.")
    return longest


def _asked(sample: Sample) -> Sample:
    """The sample without what it is to become: asked is its prompt, else its conversation, else its text."""
    fields: Mapping[str, Any] = {name: value for name, value in sample.fields.items() if name != TARGET}
    if "prompt" in fields:
        fields = {**fields, "text": fields["prompt"]}
    elif fields.get(MESSAGES) is not None:
        fields = {name: value for name, value in fields.items() if name != "text"}
    return Sample(key=sample.key, fields=fields, domain=sample.domain)


def _heard(module: PreTrainedModel, preprocessor: Preprocessor, batch: Mapping[str, Any]) -> str:
    """Connectionist temporal classification: the likeliest token of each frame, repeats and blanks left out."""
    with torch.no_grad():
        scores: Tensor = module(**batch).logits
    if scores.ndim != 3:
        raise NexusError(f"{type(module).__name__} gives no tokens by frame, so it does not answer here.")
    blank = module.config.pad_token_id
    tokens = [token for token, _ in groupby(scores[0].argmax(-1).tolist()) if token != blank]
    return written(preprocessor.tokenizer, tokens)


def _start(module: PreTrainedModel, preprocessor: Preprocessor) -> dict[str, int]:
    """The token that a decoder begins with, where the checkpoint does not say: a transducer's blank."""
    told = module.generation_config
    known = told is not None and (told.decoder_start_token_id, told.bos_token_id) != (None, None)
    start = preprocessor.decoder_start
    return {} if known or start is None else {"decoder_start_token_id": start}


def _stops(module: PreTrainedModel, tokenizer: Any) -> dict[str, int]:
    """The end token in the place of a missing one for padding, which one prompt needs none of; nothing for a class that
    says it itself, to a decoder inside (BLIP)."""
    said = tokenizer.eos_token_id is None or _pads(type(module).generate)
    return {} if said else {"pad_token_id": int(tokenizer.eos_token_id)}


@cache
def _pads(generate: Callable[..., Any]) -> bool:
    """Whether that of a class says itself what pads."""
    return PADS in inspect.getsource(generate)
