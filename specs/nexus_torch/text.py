"""Texts to tokens as every model here reads them: a start token, the text's tokens, nothing else, padded on the right.

Teacher and student share it, so that equal tokenizers give equal tokens. Shapes: B texts, T tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor

from .padding import mask_of, pad

_TRANSIENT = ("truncation", "padding")
# what calls set in a fast tokenizer, and no part of what it is


@dataclass(frozen=True)
class Tokens:
    """A batch of tokenized texts, right-padded."""

    ids: Tensor
    """int64 [B, T]; position 0 is the start token, padding is 0."""
    mask: Tensor
    """bool [B, T]: True where there is a token."""
    spans: Tensor
    """int64 [B, T, 2]: byte offsets in the UTF-8 text; (0, 0) for the start token and for padding."""


def start_token(tokenizer: Any) -> int:
    """The id that stands before every text: bos, else eos, else (as BERT's) cls."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.cls_token_id):
        if token is not None:
            return int(token)
    raise NexusError("The tokenizer has no bos, eos or cls token to start a text with. Set one in its files.")


def tokenise(tokenizer: Any, texts: Sequence[str], *, start: int, limit: int = 0) -> Tokens:
    """Tokens of the texts, at most `limit` a text with the start token (0: all of them)."""
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, return_attention_mask=False)
    rows, spans = [], []
    for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        kept = limit - 1 if limit else len(ids)
        rows.append(torch.tensor([start, *ids[:kept]]))
        spans.append(torch.tensor([(0, 0), *byte_spans(text, offsets[:kept])]))
    return Tokens(ids=pad(rows), mask=mask_of([len(row) for row in rows]), spans=pad(spans))


def byte_spans(text: str, offsets: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Character offsets as byte offsets. Tokens that split one character all get the whole of it.

    >>> byte_spans("aé!", [(0, 1), (1, 2), (2, 3)])
    [(0, 1), (1, 3), (3, 4)]
    """
    if text.isascii():
        return offsets
    ends = [0, *accumulate(len(character.encode("utf-8", "surrogatepass")) for character in text)]
    return [(ends[first], ends[last]) for first, last in offsets]


def tokenizer_hash(tokenizer: Any) -> str:
    """Equal hash, same tokens: SHA-256 (16 digits) over the fast tokenizer's own description, else its vocabulary."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        described = repr([item for item in json.loads(backend.to_str()).items() if item[0] not in _TRANSIENT])
    else:
        described = repr(sorted(tokenizer.get_vocab().items()))
    return hashlib.sha256(described.encode()).hexdigest()[:16]
