"""A prompt as a model was taught it: what stands before a text that is to be answered is the tokenizer's own to say.

Texts that are observed begin with a start token, whatever their tokenizer does (`nexus_torch.text`); prompts do not:
Qwen's have none, and behind an end of turn they would be answered otherwise. Tokens here are those that transformers'
`generate` is given.
"""

from __future__ import annotations

import torch
from nexus_specs import Sample

from nexus_torch.padding import Collated

from ..inputs.collate import Preprocessor
from ..telling import once
from .chatting import converses, written_out

PLAIN = frozenset({"input_ids", "attention_mask"})
"""The arguments of a decoder that reads a text and nothing else."""


def asked(preprocessor: Preprocessor, sample: Sample, longest: int) -> Collated:
    """The batch of a sample that is answered with at most `longest` tokens. Of a text that leaves no room for them the
    end is kept, where the question stands, and that is said."""
    batch = preprocessor([sample])
    if preprocessor.decoder_start is not None:
        _tell_cut(preprocessor, sample)
        return batch
    ready = sample.fields.get("input_ids") is not None
    text = preprocessor.modalities(sample) == ("text",) and isinstance(batch.get("input_ids"), torch.Tensor)
    if ready or not preprocessor.generative or not text:
        return batch
    ids = _fitting(preprocessor, sample, _tokens(preprocessor, sample), longest)
    more = {name: value for name, value in batch.items() if name not in PLAIN and not isinstance(value, torch.Tensor)}
    plain = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    return Collated(plain | more)


def _tokens(preprocessor: Preprocessor, sample: Sample) -> list[int]:
    """As the tokenizer's files say; of a conversation, whose template writes special tokens itself, no others."""
    words, chat = preprocessor.tokenizer, converses(sample)
    text = written_out(sample, words, preprocessor.home.name) if chat else str(sample.fields["text"])
    encoded = preprocessor.guarded(lambda: words(text, add_special_tokens=not chat, return_attention_mask=False))
    return list(encoded["input_ids"]) or [preprocessor.start]


def _fitting(preprocessor: Preprocessor, sample: Sample, ids: list[int], longest: int) -> list[int]:
    """The last of the tokens, as many as leave room for the answer, or half of all places; a start token stays."""
    context = preprocessor.context
    room = max(context - longest, context // 2) if context else len(ids)
    if len(ids) <= room:
        return ids
    once(
        ("prompt", str(preprocessor.home)),
        f"'{preprocessor.home.name}' has {context} places, and the prompt of sample '{sample.key}' takes {len(ids)} "
        f"beside an answer of up to {longest} tokens: its last {room} are answered, and so with others. Give shorter "
        "prompts, or smaller max_new_tokens.",
    )
    first = ids[:1] if ids[0] == preprocessor.tokenizer.bos_token_id else []
    return first + ids[len(ids) - room + len(first) :]


def _tell_cut(preprocessor: Preprocessor, sample: Sample) -> None:
    """Says that an encoder reads the beginning of a text that is longer than what it was made for."""
    lengths, context = preprocessor.lengths([sample]), preprocessor.context
    if lengths and context and lengths[0] > context:
        once(
            ("prompt", str(preprocessor.home)),
            f"'{preprocessor.home.name}' reads {context} tokens, and sample '{sample.key}' has {lengths[0]}: the rest "
            "is left out, and so with others. Give shorter texts.",
        )
